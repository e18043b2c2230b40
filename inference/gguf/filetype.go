package gguf

import "github.com/carat-hub/carat/inference/tensor"

// fileTypes are the numbers of general.file_type.
var fileTypes = map[int64]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
	13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
	21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
	29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0",
	41: "Q2_0",
}

// Quantization returns the name by which the file's quantization is known ("Q4_K_M", "F16"): what general.file_type says, as
// long as the file holds a tensor of such a type, otherwise the name of the type that most elements have.
func (f *File) Quantization() string {
	census := map[tensor.Type]int64{}
	most := tensor.Invalid
	for _, t := range f.Tensors {
		n, _ := tensor.Elements(t.Shape)
		census[t.Type] += n
	}
	for t, n := range census {
		if most == tensor.Invalid || n > census[most] || n == census[most] && t < most {
			most = t
		}
	}
	v, ok := f.values["general.file_type"]
	if n, isInt := v.Int(); ok && isInt {
		if name := fileTypes[n]; name != "" && claims(name, census) {
			return name
		}
	}
	if most == tensor.Invalid {
		return ""
	}
	return most.String()
}

// FileType returns the name of what general.file_type says of the file, whatever its tensors are; "" when it says nothing known.
func FileType(f *File) string {
	if f == nil {
		return ""
	}
	return fileTypes[f.Int("general.file_type", -1)]
}

// claims reports whether a census can belong to a file type: mixtures such as Q4_K_M hold tensors of the type they are named
// after; IQ3_XS, IQ3_M and IQ2_M are mixtures of types with other names.
func claims(name string, census map[tensor.Type]int64) bool {
	family := map[string][]tensor.Type{
		"IQ3_XS": {tensor.IQ3S, tensor.IQ3XXS}, "IQ3_M": {tensor.IQ3S}, "IQ2_M": {tensor.IQ2S},
		"MXFP4_MOE": {tensor.MXFP4}, "IQ2_S": {tensor.IQ2XS, tensor.IQ2S}, "Q2_K_S": {tensor.Q2K},
		"Q2_K": {tensor.Q2K, tensor.Q3K}, "TQ1_0": {tensor.TQ1_0},
	}[name]
	for t, n := range census {
		s := t.String()
		if n > 0 && (s == name || len(name) == len(s)+2 && name[:len(s)] == s) {
			return true
		}
		for _, member := range family {
			if n > 0 && t == member {
				return true
			}
		}
	}
	return false
}
