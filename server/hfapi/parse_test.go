package hfapi

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
)

func TestParseRevision(t *testing.T) {
	t.Parallel()
	commit, digest := strings.Repeat("a", 40), registry.DigestOf(registry.SHA256, nil)
	for revision, want := range map[string][]registry.Selector{
		"": {{}}, "main": {{}}, "refs/heads/main": {{}}, "HEAD": {{}}, "v1": {{Tag: "v1"}}, "refs/tags/v1": {{Tag: "v1"}}, "refs/tags/main": {{Tag: "main"}},
		commit: {{Prefix: commit}, {Tag: registry.Tag(commit)}}, commit[1:]: {{Tag: registry.Tag(commit[1:])}}, strings.ToUpper(commit): {{Tag: registry.Tag(strings.ToUpper(commit))}},
		"refs/tags/" + commit: {{Tag: registry.Tag(commit)}}, digest.String(): {{Digest: digest}},
		"refs/pr/1": nil, "refs/heads/dev": nil, "refs/tags/" + digest.String(): nil, "a b": nil, "sha256:x": nil, "main/": nil, strings.Repeat("a", 200): nil, "-x": nil,
	} {
		got, err := parseRevision(revision)
		if !slices.Equal(want, got) || (err == nil) != (want != nil) || err != nil && !registry.IsCode(err, registry.CodeManifestUnknown) {
			t.Errorf("%q: %v, %v, want %v", revision, got, err, want)
		}
	}
}

func TestSplitRevision(t *testing.T) {
	t.Parallel()
	for in, want := range map[[2]string][2]string{
		{"main", "a/b"}: {"main", "a/b"}, {"refs", "tags/v1"}: {"refs/tags/v1", ""}, {"refs", "tags/v1/a/b"}: {"refs/tags/v1", "a/b"},
		{"refs", "x"}: {"refs", "x"}, {"refs", ""}: {"refs", ""}, {"refs/tags/v1", "a"}: {"refs/tags/v1", "a"},
	} {
		if revision, path := splitRevision(in[0], in[1]); revision != want[0] || path != want[1] {
			t.Errorf("%q: %q %q", in, revision, path)
		}
	}
}

func FuzzRevision(f *testing.F) {
	for _, s := range []string{"main", "refs/pr/1", "refs/tags/v1", strings.Repeat("0", 40), "sha256:" + strings.Repeat("0", 64), "\x00", "%2F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ways, err := parseRevision(s)
		if err != nil && !registry.IsCode(err, registry.CodeManifestUnknown) || (err == nil) != (len(ways) > 0) {
			t.Errorf("%q: %v, %v", s, ways, err)
		}
		for _, w := range ways {
			if _, err := registry.ParseTag(string(w.Tag)); w.Tag != "" && err != nil {
				t.Errorf("%q may mean the tag %q", s, w.Tag)
			}
			if w.Prefix != "" && !isCommit(w.Prefix) {
				t.Errorf("%q may mean what begins with %q", s, w.Prefix)
			}
		}
	})
}

func TestParseList(t *testing.T) {
	t.Parallel()
	at := registry.ModelCursor{Name: "acme/model", UpdatedAt: time.UnixMicro(1_700_000_000_123_456).UTC()}
	q, err := url.ParseQuery("author=acme&search=tiny&search=chat&filter=gguf&filter=license:mit,base_model:quantized:acme/base&pipeline_tag=text-generation" +
		"&sort=createdAt&direction=1&gated=False&full=True&cursor=" + formatCursor(at))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseList(q)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := &listQuery{
		ModelQuery: registry.ModelQuery{Org: "acme", Text: "tiny chat gguf mit acme/base text-generation", Order: registry.OrderCreated, Ascending: true, After: at},
		labels:     []string{"gguf", "license:mit", "base_model:quantized:acme/base", "text-generation"}, gated: &no, full: true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(listQuery{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"sort=size", "direction=up", "cursor=x", "cursor=" + strings.Repeat("A", maxCursor+4), "cursor=MTIz", "apps=ollama", "inference=warm", "num_parameters=min:1B",
		"filter=" + strings.Repeat("a,", maxFilters+1),
	} {
		q, err := url.ParseQuery(bad)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseList(q); !registry.IsCode(err, server.CodeRequestInvalid) {
			t.Errorf("%.40s: %+v, %v", bad, got, err)
		}
	}
}

func FuzzListQuery(f *testing.F) {
	for _, s := range []string{"", "filter=a&filter=license:mit", "cursor=MTIzIGEvYg", "search=%00&author=..&sort=likes&direction=-1", "gated=true&expand=sha"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		l, err := parseList(q)
		if err != nil {
			if !registry.IsCode(err, server.CodeRequestInvalid) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if len(l.labels) > maxFilters {
			t.Errorf("%q: %d filters", s, len(l.labels))
		}
		if c := l.After; c.Name != "" {
			if again, err := parseCursor(formatCursor(c)); err != nil || again != c {
				t.Errorf("%q: the cursor %+v is read back as %+v, %v", s, c, again, err)
			}
		}
	})
}

func TestParsePaths(t *testing.T) {
	t.Parallel()
	const json, form = "application/json; charset=utf-8", "application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		kind, body string
		want       *pathsQuery
	}{
		"list":           {json, `{"paths":["a","b/c/"],"expand":true}`, &pathsQuery{[]string{"a", "b/c"}, true}},
		"one":            {json, `{"paths":"a"}`, &pathsQuery{[]string{"a"}, false}},
		"form":           {form, "paths=a&paths=b%2Fc&expand=True", &pathsQuery{[]string{"a", "b/c"}, true}},
		"form, false":    {form, "paths=a&expand=False", &pathsQuery{[]string{"a"}, false}},
		"nothing":        {"", "", &pathsQuery{}},
		"no JSON":        {json, "paths=a", nil},
		"no paths":       {json, "{}", nil},
		"numbers":        {json, `{"paths":[1]}`, nil},
		"broken form":    {form, "paths=%zz", nil},
		"too many":       {form, strings.Repeat("paths=a&", maxPaths+1), nil},
		"too many, JSON": {json, `{"paths":["a"` + strings.Repeat(`,"a"`, maxPaths) + `]}`, nil},
	} {
		got, err := parsePaths(tt.kind, []byte(tt.body))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(pathsQuery{})); diff != "" || tt.want == nil && !registry.IsCode(err, server.CodeRequestInvalid) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

func FuzzPaths(f *testing.F) {
	f.Add("application/json", []byte(`{"paths":["a"],"expand":false}`))
	f.Add("application/json", []byte(`{"paths":null}`))
	f.Add("application/x-www-form-urlencoded", []byte("paths=a&expand=1"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		q, err := parsePaths(kind, body)
		if err != nil && !registry.IsCode(err, server.CodeRequestInvalid) || (err == nil) != (q != nil) || q != nil && len(q.paths) > maxPaths {
			t.Errorf("%q %q: %+v, %v", kind, body, q, err)
		}
	})
}

func TestEntries(t *testing.T) {
	t.Parallel()
	file := func(path, content string) registry.File {
		return registry.File{Path: path, Digest: registry.DigestOf(registry.SHA256, []byte(content)), Size: int64(len(content))}
	}
	files := []registry.File{file("b/c/d.txt", "1"), file("a.txt", "2"), file("b/e.txt", "3"), file("ä/f.txt", "4"), file("b.txt", "5")}
	for _, tt := range []struct {
		below     string
		recursive bool
		want      []string
	}{
		{"", false, []string{"a.txt", "b/", "b.txt", "ä/"}},
		{"", true, []string{"a.txt", "b/", "b.txt", "b/c/", "b/c/d.txt", "b/e.txt", "ä/", "ä/f.txt"}},
		{"b", false, []string{"b/c/", "b/e.txt"}},
		{"b/c", false, []string{"b/c/d.txt"}},
		{"b/c/d.txt", true, nil},
		{"x", false, nil},
	} {
		var got []string
		for _, e := range entries(files, tt.below, tt.recursive) {
			if e.Type == "directory" {
				e.Path += "/"
			}
			if len(e.OID) != 40 {
				t.Errorf("%s has the id %q", e.Path, e.OID)
			}
			got = append(got, e.Path)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("below %q, recursive %v: %s", tt.below, tt.recursive, diff)
		}
	}
	before := folders(files)
	files[0] = file("b/c/d.txt", "changed")
	after := folders(files)
	if before["b"].OID == after["b"].OID || before["b/c"].OID == after["b/c"].OID || before["ä"].OID != after["ä"].OID {
		t.Errorf("the ids of folders do not follow their content: %v, %v", before, after)
	}
}

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"model.gguf": `inline; filename*=UTF-8''model.gguf; filename="model.gguf";`,
		`ä "b"\.txt`: `inline; filename*=UTF-8''%C3%A4%20%22b%22%5C.txt; filename="_ _b__.txt";`,
	} {
		if got := disposition(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
