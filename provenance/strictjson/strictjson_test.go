package strictjson_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/carat-hub/carat/provenance/strictjson"
)

var (
	named = strictjson.Form{Depth: 4, Names: []string{"layers", "size"}, Free: []string{"annotations"}}
	open  = strictjson.Form{Depth: 4, Values: 5}
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		form strictjson.Form
		text string
		want string // part of the error, "" for none
	}{
		"empty":                      {named, `{}`, ""},
		"known and unknown":          {named, `{"layers":[{"size":1}],"other":null,"Other":true}` + " \n", ""},
		"known in another case":      {named, `{"Layers":[]}`, `the key "Layers" must be written "layers"`},
		"deep in another case":       {named, `{"layers":[{"SIZE":1}]}`, "must be written"},
		"by folding":                 {named, `{"layerſ":1}`, "must be written"},
		"twice":                      {named, `{"a":1,"a":2}`, `the key "a" occurs twice`},
		"twice, escaped":             {named, `{"a":1,"\u0061":2}`, "occurs twice"},
		"free":                       {named, `{"annotations":{"Size":"x","SIZE":"y"}}`, ""},
		"free, twice":                {named, `{"annotations":{"x":1,"x":2}}`, "occurs twice"},
		"known after free":           {named, `{"annotations":{},"Size":1}`, "must be written"},
		"as deep as may be":          {named, `{"a":[[[1]]]}`, ""},
		"too deep":                   {named, `{"a":[[[[1]]]]}`, "nested more than 4 deep"},
		"as many values as may be":   {open, `{"a":[1,2,3,4]}`, ""},
		"too many values":            {open, `{"a":[1,2,3,4,5]}`, "more than 5 values"},
		"two cases of one":           {open, `{"a":1,"A":2}`, "occurs twice"},
		"a list":                     {open, `[]`, "not a JSON object"},
		"nothing":                    {open, ``, "EOF"},
		"half":                       {open, `{"a":`, "EOF"},
		"more":                       {open, `{} {}`, "something after the object"},
		"more than space":            {open, "{}\x00", "something after the object"},
		"a long key is quoted short": {open, `{"` + strings.Repeat("k", 100) + `":1,"` + strings.Repeat("k", 100) + `":1}`, `"` + strings.Repeat("k", 40) + `" occurs`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tt.form.Check([]byte(tt.text))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// What passes is JSON, and means the same to a decoder that keeps the first of
// two equal keys, which encoding/json does not.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{}`, `{"layers":[{"size":1}]}`, `{"a":1,"a":2}`, `{"annotations":{"Size":"x"}}`, `[`, `{"a":[[[[[]]]]]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if err := named.Check(p); err != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal(p, &m); err != nil {
			t.Fatalf("%q passes and is no object: %v", p, err)
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := named.Check(again); err != nil {
			t.Fatalf("%q passes, %q does not: %v", p, again, err)
		}
		var doc struct {
			Layers any `json:"layers"`
			Size   any `json:"size"`
		}
		if err := json.Unmarshal(p, &doc); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(doc.Layers, m["layers"]) || !reflect.DeepEqual(doc.Size, m["size"]) {
			t.Fatalf("%q is read in two ways: %v and %v", p, doc, m)
		}
	})
}
