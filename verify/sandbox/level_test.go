package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want Layers // 0 for an error
	}{
		{"default", Default},
		{"no_new_privs", NoNewPrivs},
		{"default, net_ns", Default | NetNS},
		{"none", None},
		{"", 0},
		{"none,landlock", 0},
		{"Landlock", 0},
		{"landlock,", 0},
	} {
		got, err := ParseLayers(tc.text)
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("%q: %s, %v", tc.text, got, err)
		}
		if tc.want == 0 {
			continue
		}
		if again, err := ParseLayers(got.String()); again != got || err != nil {
			t.Errorf("%q became %q, and that %s, %v", tc.text, got, again, err)
		}
	}
}

func TestLevelJSON(t *testing.T) {
	t.Parallel()
	level := Level{Layers: Default | UTSNS, Landlock: 7}
	b, err := json.Marshal(level)
	if want := `{"layers":["no_new_privs","rlimits","landlock","seccomp","uts_ns"],"landlock_abi":7}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	var got Level
	if err := json.Unmarshal(b, &got); err != nil || got != level {
		t.Errorf("%+v, %v", got, err)
	}
	if b, err := json.Marshal(Level{}); err != nil || string(b) != `{"layers":[]}` {
		t.Errorf("%s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"layers":"all"}`), &got); err == nil {
		t.Error("layers that are no list were accepted")
	}
}

func TestLevelError(t *testing.T) {
	t.Parallel()
	err := (&LevelError{
		Missing: Landlock | Seccomp,
		Level:   Level{Layers: NoNewPrivs | Rlimits | UserNS},
		Reasons: map[string]string{"landlock": "the kernel has none"},
	}).Error()
	want := "sandbox: this system cannot give landlock (the kernel has none), seccomp; require no more than no_new_privs,rlimits to go on without"
	if err != want {
		t.Errorf("got %q", err)
	}
	if err := (&LevelError{Missing: Default}).Error(); !strings.HasSuffix(err, "no more than none to go on without") {
		t.Errorf("got %q", err)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\nlines":             "plain\nlines",
		" \x1b[2J\x00tab\tend\r":   "[2Jtab end",
		"bad \xff\xfe utf":         "bad  utf",
		"right\u202eto left\u200b": "rightto left",
		"größe → 1":                "größe → 1",
	} {
		if got := clean([]byte(in)); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	for _, n := range []int{0, 1, 2, 3, 4} {
		if got := cut("aé→", n); !strings.HasPrefix("aé→", strings.TrimSuffix(got, "…")) || len(got) > n+len("…") {
			t.Errorf("cut to %d: %q", n, got)
		}
	}
}
