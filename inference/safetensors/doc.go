// Package safetensors reads the headers of safetensors files, alone or sharded, without touching tensor data. It takes any
// io.ReaderAt, so a header can be read from a remote blob with two ranged reads.
//
// A header is accepted only when its tensors tile the data exactly: no overlap, no hole, no byte left over. The package does
// not know what the tensors mean.
package safetensors
