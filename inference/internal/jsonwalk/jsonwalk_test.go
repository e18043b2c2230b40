package jsonwalk

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAgreesWithEncodingJSON reads texts and structures both ways.
func TestAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, v := range []string{
		`""`, `"a\"\\\/\b\f\n\r\t"`, `"\u0041\u00e9\uD83D\ude80x"`, `"\ud83d"`, `"\ud83d\u0041"`, `"\udE80\ud83d"`, "\"\xff\xc3é\"", `"\u2028▁"`,
	} {
		var want string
		if err := json.Unmarshal([]byte(v), &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := AppendText(nil, []byte(v)); !ok || string(got) != want {
			t.Errorf("%s: %q, encoding/json has %q", v, got, want)
		}
	}
	object := "{ \"a\" : [1, {\"b\": \"]}\\\"\"} , -2.5e3 ] ,\"c\":true\t, \"d\":{},\"a\":null\n}"
	var got []string
	ok, err := EachMember([]byte(object), func(key, value []byte) error {
		got = append(got, string(key)+"="+string(value))
		_, err := EachItem(value, func(item []byte) error {
			got = append(got, string(item))
			return nil
		})
		return err
	})
	want := []string{`"a"=[1, {"b": "]}\""} , -2.5e3 ]`, "1", `{"b": "]}\""}`, "-2.5e3", `"c"=true`, `"d"={}`, `"a"=null`}
	if d := cmp.Diff(want, got); d != "" || !ok || err != nil {
		t.Error(d, ok, err)
	}
	if ok, _ := EachItem([]byte(object), nil); ok {
		t.Error("an object counts as an array")
	}
}

// FuzzWalk walks whatever is valid and compares it with encoding/json.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"a":["x","\\u0041"],"b":"\\ud83d"}`))
	f.Add([]byte(" [1, {\"k\":null}, \"\\\"]\"] "))
	f.Fuzz(func(t *testing.T, b []byte) {
		if json.Valid(b) {
			var want any
			if err := json.Unmarshal(b, &want); err != nil {
				return // a number that does not fit
			}
			w := &walker{b: b}
			if got := tree(w.value()); !cmp.Equal(got, want) {
				t.Fatalf("%q: %s", b, cmp.Diff(want, got))
			}
		}
	})
}

// tree builds what encoding/json would.
func tree(v []byte) any {
	object := map[string]any{}
	if ok, _ := EachMember(v, func(key, value []byte) error {
		k, _ := AppendText(nil, key)
		object[string(k)] = tree(value)
		return nil
	}); ok {
		return object
	}
	list := []any{}
	if ok, _ := EachItem(v, func(value []byte) error {
		list = append(list, tree(value))
		return nil
	}); ok {
		return list
	}
	if s, ok := AppendText(nil, v); ok {
		return string(s)
	}
	var scalar any
	if err := json.Unmarshal(v, &scalar); err != nil {
		return err
	}
	return scalar
}
