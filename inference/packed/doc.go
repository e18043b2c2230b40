// Package packed reads weight matrices that safetensors files hold in the layouts of quantization libraries: as several tensors
// each, whose bytes are integers, scales and zero points. It decodes rows while they are used and keeps the packed bytes where
// they are, which is a mapping as a rule; what it holds itself is the index of groups, the scales of rows and tiles, and a few rows for each thread.
//
// The layouts are those that the libraries publish by their code: compressed-tensors and DeepSeek's block-scaled FP8, AutoGPTQ
// and GPTQModel, AutoAWQ, bitsandbytes, and the MXFP4 blocks of gpt-oss. Arithmetic is in float32, where the libraries use the
// model's 16-bit type.
//
// The package does not know which matrices a model has, nor where tensors come from.
package packed
