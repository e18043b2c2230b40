package lineage

import (
	"math"
	"strings"
)

// Band is how far weights of a type lie from what they were made of: the error of Distance.
type Band struct {
	// Usual is the error on weights of a normal distribution, quantized without a calibration text.
	Usual float64
	// Limit is what the type explains at most: room for weights with heavier tails and for calibrated quantizations, which
	// give up plain closeness.
	Limit float64
}

// bands are measured by quantizing normal deviates (TestBands repeats that for the types that this program writes), those of Q5_K and
// IQ4_NL on files by llama.cpp. For the other types Usual comes from the layout: the error of the best uniform quantizer for a normal distribution of that many
// levels (Max 1960, table II), with the loss from the rounding of the scales; for the grids of IQ1 to IQ3 twice Shannon's bound
// 2^-bits is below what they reach, and three times it above. Limit is 2.2 times Usual from 3 bits on and less below, where what
// is lost cannot be more than everything.
var bands = map[string]Band{
	"F64": {0, 1e-6}, "F32": {0, 1e-6},
	"F16": {2.1e-4, 4e-3}, "BF16": {1.7e-3, 4e-3},
	"F8_E4M3": {0.026, 0.06}, "F8_E5M2": {0.053, 0.12}, "F8_E4M3FNUZ": {0.026, 0.06}, "F8_E5M2FNUZ": {0.053, 0.12},
	"Q8_0": {5.6e-3, 0.015}, "Q8_1": {5.6e-3, 0.015}, "Q8_K": {6.5e-3, 0.02}, "I8": {0.01, 0.06},
	"Q6_K": {0.018, 0.05},
	"Q5_0": {0.043, 0.1}, "Q5_1": {0.037, 0.09}, "Q5_K": {0.036, 0.09},
	"Q4_0": {0.086, 0.2}, "Q4_1": {0.077, 0.18}, "Q4_K": {0.072, 0.17},
	"IQ4_NL": {0.078, 0.18}, "IQ4_XS": {0.079, 0.18},
	"MXFP4": {0.12, 0.27}, "NVFP4": {0.095, 0.21}, "F4": {0.12, 0.27},
	"Q3_K": {0.15, 0.32}, "IQ3_S": {0.16, 0.35}, "IQ3_XXS": {0.2, 0.42},
	"Q2_K": {0.3, 0.55}, "IQ2_S": {0.3, 0.55}, "IQ2_XS": {0.33, 0.58}, "IQ2_XXS": {0.38, 0.62}, "Q2_0": {0.45, 0.75},
	"IQ1_M": {0.48, 0.72}, "IQ1_S": {0.52, 0.76}, "Q1_0": {0.6, 0.85},
	"TQ1_0": {0.5, 0.8}, "TQ2_0": {0.5, 0.8},
}

// BandOf returns the band of a type. Types in the layouts of other libraries, such as "gptq-int4", are known by their number of bits;
// one that is not known at all explains little.
func BandOf(dtype string) Band {
	if b, ok := bands[strings.ToUpper(dtype)]; ok {
		return b
	}
	name := strings.ToLower(dtype)
	for _, k := range []struct {
		part string
		band Band
	}{
		{"mxfp4", bands["MXFP4"]},
		{"nvfp4", bands["NVFP4"]},
		{"fp8", bands["F8_E4M3"]},
		{"8", bands["I8"]},
		{"4", Band{0.11, 0.27}},
		{"3", Band{0.22, 0.45}},
		{"2", Band{0.4, 0.7}},
	} {
		if strings.Contains(name, k.part) {
			return k.band
		}
	}
	return Band{0, 0.01}
}

// explained returns how far a weight of one type may lie from one of another when both were made of the same.
func explained(a, b string) float64 { return math.Hypot(BandOf(a).Limit, BandOf(b).Limit) }
