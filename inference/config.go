package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"

	"github.com/carat-hub/carat/inference/fault"
)

// maxConfig bounds the JSON files that describe a model, in bytes, and maxConfigValues about the values that they hold, each of
// which takes many times its text in memory.
const (
	maxConfig       = 8 << 20
	maxConfigValues = 80_000
)

// config is a JSON object such as config.json. encoding/json keeps its keys apart by case when it fills a map.
type config map[string]any

func readConfig(ctx context.Context, files Files) (config, error) {
	return readJSON(ctx, files, configName)
}

func readJSON(ctx context.Context, files Files, name string) (config, error) {
	b, err := readAll(ctx, files, name, maxConfig)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(b, []byte(",")) + bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{")); n > maxConfigValues {
		return nil, &fault.Malformed{Format: name, Offset: -1, Reason: fmt.Sprintf("about %d values exceed the limit of %d", n, maxConfigValues)}
	}
	var c config
	if err := json.Unmarshal(b, &c); err != nil || c == nil {
		return nil, &fault.Malformed{Format: name, Offset: -1, Reason: fmt.Sprintf("not a JSON object: %v", err)}
	}
	return c, nil
}

// object returns the object at key, nil when there is none.
func (c config) object(key string) config {
	o, _ := c[key].(map[string]any)
	return o
}

func (c config) text(key, def string) string {
	if s, ok := c[key].(string); ok {
		return s
	}
	return def
}

func (c config) float(key string, def float64) float64 {
	if f, ok := c[key].(float64); ok {
		return f
	}
	return def
}

// integer returns the whole number at key, or def when it is missing or no whole number of 31 bits and a sign.
func (c config) integer(key string, def int) int {
	f, ok := c[key].(float64)
	if !ok || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return def
	}
	return int(f)
}

func (c config) boolean(key string, def bool) bool {
	if b, ok := c[key].(bool); ok {
		return b
	}
	return def
}

// firstText returns the first string of the array at key.
func (c config) firstText(key string) string {
	if list, ok := c[key].([]any); ok && len(list) > 0 {
		s, _ := list[0].(string)
		return s
	}
	return ""
}

// integers returns the whole numbers at key, which holds one or an array of them.
func (c config) integers(key string) []int {
	list, ok := c[key].([]any)
	if !ok {
		list = []any{c[key]}
	}
	var out []int
	for _, v := range list {
		if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32 {
			out = append(out, int(f))
		}
	}
	return out
}

// floats returns the numbers of the array at key, nil when it holds anything else.
func (c config) floats(key string) []float64 {
	list, _ := c[key].([]any)
	var out []float64
	for _, v := range list {
		f, ok := v.(float64)
		if !ok || !(f != 0) {
			return nil
		}
		out = append(out, f)
	}
	return out
}

// firstOf returns the first of keys whose value is not null.
func (c config) firstOf(keys ...string) string {
	for _, k := range keys {
		if c[k] != nil {
			return k
		}
	}
	return keys[0]
}

// language returns the part that describes the language model: config.json itself, or its text_config in a model that also
// sees or hears.
func (c config) language() config {
	if c.multimodal() {
		return c.object("text_config")
	}
	return c
}

// or returns c with what it lacks taken from defaults.
func (c config) or(defaults config) config {
	if len(defaults) == 0 {
		return c
	}
	all := maps.Clone(defaults)
	for k, v := range c {
		if v != nil {
			all[k] = v
		}
	}
	return all
}

// multimodal says whether the language model is part of another.
func (c config) multimodal() bool {
	_, own := c["hidden_size"]
	return !own && c.object("text_config") != nil
}
