package packed

import (
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
)

// Config is what a model's config.json says of its quantization.
type Config struct {
	name   string
	unpack func(u *unpacker, name string) error
}

// String returns the name by which the quantization is known: the method, and the type of the elements where the method has
// several ("gptq-int4", "bitsandbytes-nf4", "fp8").
func (c *Config) String() string { return c.name }

// object is a JSON object.
type object map[string]any

func (o object) text(key, def string) string {
	if s, ok := o[key].(string); ok {
		return s
	}
	return def
}

func (o object) boolean(key string, def bool) bool {
	if b, ok := o[key].(bool); ok {
		return b
	}
	return def
}

// integer returns the whole number at the first of keys that holds one, def when there is none.
func (o object) integer(def int, keys ...string) int {
	for _, k := range keys {
		if f, ok := o[k].(float64); ok && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32 {
			return int(f)
		}
	}
	return def
}

func (o object) object(key string) object {
	v, _ := o[key].(map[string]any)
	return v
}

func unsupported(format string, args ...any) error {
	return fault.NewUnsupported("quantization", format, args...)
}

// methods read the configurations of the methods that are known.
var methods = map[string]func(object) (*Config, error){
	"fp8": fp8Config, "compressed-tensors": compressedConfig, "gptq": gptqConfig, "awq": awqConfig,
	"bitsandbytes": bitsandbytesConfig, "mxfp4": mxfp4Config,
}

// ParseConfig reads the object quantization_config of a config.json. It returns a *fault.Unsupported for a method, or a variant
// of one, that is not read.
func ParseConfig(quantization map[string]any) (*Config, error) {
	o := object(quantization)
	method := o.text("quant_method", "")
	if method == "" && (o.boolean("load_in_4bit", false) || o.boolean("load_in_8bit", false)) {
		method = "bitsandbytes"
	}
	read := methods[method]
	if read == nil {
		return nil, unsupported("%.80q of safetensors", method)
	}
	return read(o)
}

func fp8Config(o object) (*Config, error) {
	tile, err := tileSize(o, "weight_block_size")
	if err != nil {
		return nil, err
	}
	return &Config{"fp8", func(u *unpacker, name string) error { return u.scaled(name, tile) }}, nil
}

// tileSize reads the rows and columns of tiles, nil when there is none.
func tileSize(o object, key string) ([]int, error) {
	list, _ := o[key].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	var tile []int
	for _, v := range list {
		tile = append(tile, object{"n": v}.integer(0, "n"))
	}
	if len(tile) != 2 || tile[0] < 1 || tile[1] < 1 {
		return nil, &fault.Malformed{Format: "config.json", Where: key, Offset: -1, Reason: fmt.Sprintf("%v is no size of a tile", list)}
	}
	return tile, nil
}

func compressedConfig(o object) (*Config, error) {
	groups := o.object("config_groups")
	if len(groups) != 1 {
		return nil, unsupported("compressed-tensors with %d groups of modules", len(groups))
	}
	var weights object
	for name := range groups {
		weights = groups.object(name).object("weights")
	}
	bits, kind := weights.integer(0, "num_bits"), weights.text("type", "int")
	strategy := weights.text("strategy", "tensor")
	tile, err := tileSize(weights, "block_structure")
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("compressed-tensors-%s%d", map[string]string{"float": "fp", "int": "int"}[kind], bits)
	format := o.text("format", "")
	switch {
	case format == "pack-quantized" && kind == "int" && (bits == 4 || bits == 8) && (strategy == "group" || strategy == "channel"):
		return &Config{name, func(u *unpacker, name string) error { return u.words(name, bits) }}, nil
	case format != "float-quantized" && format != "int-quantized" && format != "naive-quantized":
		return nil, unsupported("compressed-tensors in the format %.40q", format)
	case bits != 8 || kind != "float" && kind != "int":
		return nil, unsupported("compressed-tensors with %s elements of %d bits in the format %.40q", kind, bits, format)
	case strategy != "tensor" && strategy != "channel" && (strategy != "block" || tile == nil):
		return nil, unsupported("compressed-tensors with scales by %.40q", strategy)
	case kind == "int" && !weights.boolean("symmetric", true):
		return nil, unsupported("compressed-tensors with zero points of 8-bit integers")
	}
	if strategy != "block" {
		tile = nil
	}
	return &Config{name, func(u *unpacker, name string) error { return u.scaled(name, tile) }}, nil
}

func gptqConfig(o object) (*Config, error) {
	bits, size := o.integer(0, "bits"), o.integer(-1, "group_size")
	format := o.text("checkpoint_format", "gptq")
	shift := uint32(1)
	switch {
	case bits != 2 && bits != 3 && bits != 4 && bits != 8:
		return nil, unsupported("GPTQ with %d bits", bits)
	case size != -1 && size < 1:
		return nil, unsupported("GPTQ with groups of %d", size)
	case format == "gptq_v2":
		shift = 0
	case format != "gptq":
		return nil, unsupported("GPTQ in the format %.40q", format)
	case o.boolean("is_marlin_format", false):
		return nil, unsupported("GPTQ in the format \"marlin\"")
	case o.text("pack_dtype", "int32") != "int32":
		return nil, unsupported("GPTQ packed in %.40q", o.text("pack_dtype", ""))
	}
	for module := range o.object("dynamic") {
		if !strings.HasPrefix(module, "-:") { // modules that are left out
			return nil, unsupported("GPTQ with other settings for the modules %.80q", module)
		}
	}
	return &Config{fmt.Sprintf("gptq-int%d", bits), func(u *unpacker, name string) error {
		return u.gptq(name, bits, size, shift)
	}}, nil
}

func awqConfig(o object) (*Config, error) {
	bits, size := o.integer(4, "bits", "w_bit"), o.integer(128, "group_size", "q_group_size")
	version := strings.ToLower(o.text("version", "gemm"))
	switch {
	case bits != 4:
		return nil, unsupported("AWQ with %d bits", bits)
	case size != -1 && size < 1:
		return nil, unsupported("AWQ with groups of %d", size)
	case version != "gemm":
		return nil, unsupported("AWQ for the kernel %.40q", version)
	case !o.boolean("zero_point", true):
		return nil, unsupported("AWQ without zero points")
	case o.text("backend", "autoawq") == "llm-awq":
		return nil, unsupported("AWQ packed by llm-awq")
	}
	return &Config{"awq-int4", func(u *unpacker, name string) error { return u.awq(name, size) }}, nil
}

func bitsandbytesConfig(o object) (*Config, error) {
	eight := o.boolean("load_in_8bit", o.boolean("_load_in_8bit", false))
	four := o.boolean("load_in_4bit", o.boolean("_load_in_4bit", false))
	if eight == four {
		return nil, unsupported("bitsandbytes without saying whether with 4 or 8 bits")
	}
	if eight {
		return &Config{"bitsandbytes-int8", (*unpacker).int8}, nil
	}
	return &Config{"bitsandbytes-" + o.text("bnb_4bit_quant_type", "fp4"), (*unpacker).fourBit}, nil
}

func mxfp4Config(object) (*Config, error) { return &Config{"mxfp4", (*unpacker).mxfp4}, nil }
