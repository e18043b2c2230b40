package client

import (
	"path"
	"strings"

	"github.com/carat-hub/carat/registry"
)

// guessWeight is from how many bytes on a file of unknown kind is taken for weights.
const guessWeight = 64 << 20

var (
	weightExtensions = set(".safetensors", ".gguf", ".ggml", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".onnx_data", ".h5", ".hdf5", ".keras",
		".msgpack", ".npz", ".npy", ".pb", ".tflite", ".mlmodel", ".pdparams", ".nemo", ".engine", ".dduf", ".ot", ".pkl", ".pickle", ".joblib", ".mar")
	configExtensions = set(".json", ".jinja", ".jinja2", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".model", ".tiktoken", ".vocab", ".merges",
		".spm", ".bpe", ".xml", ".lock")
	docExtensions = set(".md", ".markdown", ".rst", ".txt", ".pdf", ".html", ".htm", ".css", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".avif", ".bib",
		".tex", ".cff", ".mp4", ".wav", ".mp3", ".flac", ".docx", ".pptx")
	codeExtensions = set(".py", ".pyi", ".ipynb", ".sh", ".bash", ".ps1", ".bat", ".go", ".rs", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".cuh", ".java",
		".js", ".mjs", ".ts", ".tsx", ".lua", ".rb", ".swift", ".kt", ".r", ".jl", ".pyx", ".wasm", ".so", ".dll", ".dylib")
	datasetExtensions = set(".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".arrow", ".feather", ".tfrecord", ".avro")

	// Whole names that decide against the extension, in lower case.
	configNames = set("vocab.txt", "merges.txt", "spiece.txt", "bpe.codes", "added_tokens.txt", "params", "system", "template", "modelfile")
	codeNames   = set("requirements.txt", "dockerfile", "makefile", "cmakelists.txt", "pyproject.toml", "setup.cfg")
	docPrefixes = []string{
		"license", "licence", "notice", "readme", "copying", "copyright", "authors", "contributing", "changelog", "citation",
		"use_policy", "usage_policy", "acceptable_use", "terms", "third_party", "model_card",
	}
)

// classify returns the ModelPack media type of a file's raw layer. guessed is
// set when neither name nor extension says what the file is.
func classify(p string, size int64) (mediaType string, guessed bool) {
	name := strings.ToLower(path.Base(p))
	ext := path.Ext(name)
	switch {
	case codeNames[name]:
		return registry.ModelPackCode, false
	case configNames[name]:
		return registry.ModelPackWeightConfig, false
	case weightExtensions[ext]:
		return registry.ModelPackWeight, false
	case datasetExtensions[ext]:
		return registry.ModelPackDataset, false
	case codeExtensions[ext]:
		return registry.ModelPackCode, false
	case configExtensions[ext]:
		return registry.ModelPackWeightConfig, false
	case docExtensions[ext]:
		return registry.ModelPackDoc, false
	}
	for _, prefix := range docPrefixes {
		if strings.HasPrefix(name, prefix) {
			return registry.ModelPackDoc, false
		}
	}
	if size >= guessWeight {
		return registry.ModelPackWeight, true
	}
	return registry.ModelPackDoc, true
}

func set(list ...string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, s := range list {
		m[s] = true
	}
	return m
}
