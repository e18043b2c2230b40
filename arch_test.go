package carat_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

const module = "github.com/carat-hub/carat"

// room is a folder of packages with one rule for its imports. A room named "x/..." is x and every folder below it that has
// no rule of its own, whose packages may also import each other; any other name is that folder alone.
type room struct {
	name string
	may  []string // folders of the rooms whose packages it may import; "..." for all
}

// house is the import graph of docs/ARCHITECTURE.md. A folder with Go code that no room holds is an error: a new room needs
// a place in this table, and in the depguard rules of .golangci.yml, which a test below compares.
var house = []room{
	{".", nil},
	{"cmd/carat/...", []string{"..."}},
	{"server/...", []string{"audit", "registry", "registry/export", "auth", "licenses", "verify", "storage", "web"}},
	{"web", []string{"audit", "registry", "registry/export", "licenses", "verify", "auth"}},
	{"jobs", []string{"registry", "verify", "storage"}},
	{"client", []string{"audit", "registry", "storage/blockreader"}},
	{"verify/...", []string{"inference", "licenses", "provenance", "registry", "storage", "storage/blockreader", "auth", "verify/sandbox"}}, // auth for the grant that registry asks for
	{"verify/sandbox", nil},
	{"verify/verifytest", []string{"verify", "inference"}},
	{"registry", []string{"licenses", "provenance", "storage", "auth", "registry/policy"}},
	{"registry/export", []string{"registry", "licenses"}},
	{"registry/policy", nil},
	{"registry/registrytest", []string{"registry", "licenses", "storage", "auth"}},
	{"storage/sqlstore", []string{"audit", "registry", "auth", "verify", "migrations", "storage"}},
	{"storage/fs", []string{"storage"}},
	{"storage/s3", []string{"storage"}},
	{"storage/storagetest", []string{"storage"}},
	{"storage", nil},
	{"storage/blockreader", nil},
	{"licenses/...", nil},
	{"provenance/...", nil},
	{"inference/...", nil},
	{"audit", nil},
	{"auth", nil},
	{"auth/authtest", []string{"auth"}},
	{"migrations", nil},
	{"deploy", nil},
	{"internal/...", nil},
}

// owners names the only rooms that may import a third party's packages, tests included.
var owners = []struct {
	prefix string
	rooms  []string
}{
	{"github.com/labstack/echo", []string{"server/...", "web"}},
	{"github.com/minio/minio-go", []string{"storage/s3"}},
	{"github.com/jackc/pgx", []string{"storage/sqlstore", "jobs", "cmd/carat/...", "internal/..."}},
	{"modernc.org/sqlite", []string{"storage/sqlstore", "jobs", "cmd/carat/..."}},
	{"github.com/riverqueue/river", []string{"jobs"}},
	{"github.com/golang-jwt/jwt", []string{"auth"}},
	{"github.com/coreos/go-oidc", []string{"auth"}},
	{"github.com/landlock-lsm/go-landlock", []string{"verify/sandbox"}},
	{"github.com/elastic/go-seccomp-bpf", []string{"verify/sandbox"}},
	{"github.com/cedar-policy/cedar-go", []string{"registry/policy"}},
	{"github.com/sigstore/sigstore-go", []string{"provenance/..."}},
	{"github.com/chromedp", []string{"internal/...", "web", "server/...", "cmd/carat/..."}},
}

// file is one Go file: its folder from the root, whether it is a test, and what it imports.
type file struct {
	dir, name string
	imports   []string
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// roomOf finds the room that holds a folder: its own before that of a folder above.
func roomOf(dir string) (room, bool) {
	for _, r := range house {
		if r.name == dir {
			return r, true
		}
	}
	for d := dir; ; d = path.Dir(d) {
		for _, r := range house {
			if r.name == d+"/..." {
				return r, true
			}
		}
		if d == "." || d == "/" {
			return room{}, false
		}
	}
}

// violations lists what the files break of the rules, each with how to mend it.
func violations(files []file) []string {
	var found []string
	report := func(f file, format string, args ...any) {
		found = append(found, path.Join(f.dir, f.name)+": "+fmt.Sprintf(format, args...))
	}
	for _, f := range files {
		from, ok := roomOf(f.dir)
		if !ok {
			report(f, "the folder is in no room: give it one in the table of arch_test.go and in .golangci.yml")
			continue
		}
		for _, imp := range f.imports {
			for _, o := range owners {
				if within(imp, o.prefix) && !slices.Contains(o.rooms, from.name) {
					report(f, "imports %s, which only %s may", imp, strings.Join(o.rooms, ", "))
				}
			}
			if !within(imp, module) {
				continue
			}
			dir := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
			to, ok := roomOf(dir)
			switch {
			case !ok:
				report(f, "imports %s, which is in no room", imp)
			case testHelp(dir) && !f.test() && !testHelp(f.dir):
				report(f, "imports the test helper %s outside a test", imp)
			case f.test() || testHelp(dir):
				// A test puts rooms together as cmd does; the compiler refuses a cycle.
			case to.name == from.name || slices.Contains(from.may, "...") || slices.Contains(from.may, tree(to.name)):
			default:
				report(f, "imports %s; %s may import of ours: %s", imp, from.name, orNothing(from.may))
			}
		}
	}
	sort.Strings(found)
	return found
}

// testHelp tells whether a folder holds help for tests: all of internal/, and the suites named *test.
func testHelp(dir string) bool {
	return within(dir, "internal") || strings.HasSuffix(path.Base(dir), "test")
}

func within(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

func orNothing(rooms []string) string {
	if len(rooms) == 0 {
		return "nothing"
	}
	return strings.Join(rooms, ", ")
}

// goFiles reads the imports of every Go file of the module, for all platforms.
func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, modErr := os.Stat(filepath.Join(name, "go.mod"))
			other := name != "." && modErr == nil
			if other || d.Name() == "testdata" || (name != "." && strings.ContainsAny(d.Name()[:1], "._")) || name == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		src, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{dir: filepath.ToSlash(filepath.Dir(name)), name: d.Name()}
		for _, spec := range src.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imp)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestHouse holds the module to its import rules.
func TestHouse(t *testing.T) {
	t.Parallel()
	files := goFiles(t)
	if len(files) < 10 {
		t.Fatalf("only %d Go files found", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// TestViolations shows that each rule is one that a file can break.
func TestViolations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file, imp string
		want            string // "" for allowed
	}{
		{"down", "registry/blob.go", module + "/storage", ""},
		{"up", "storage/blob.go", module + "/registry", "storage may import of ours: nothing"},
		{"sideways", "registry/blob.go", module + "/storage/fs", "registry may import of ours: licenses, provenance, storage, auth, registry/policy"},
		{"driver", "storage/s3/driver.go", module + "/storage", ""},
		{"within a tree", "inference/gguf/read.go", module + "/inference/kernel", ""},
		{"out of the leaf tree", "inference/gguf/read.go", module + "/storage", "inference/... may import of ours: nothing"},
		{"server to its own", "server/server.go", module + "/server/oci", ""},
		{"server to the stores", "server/oci/blob.go", module + "/storage/sqlstore", "server/... may import"},
		{"everything", "cmd/carat/serve.go", module + "/storage/sqlstore", ""},
		{"new folder", "util/strings.go", "strings", "the folder is in no room"},
		{"import of a new folder", "cmd/carat/main.go", module + "/util", "which is in no room"},
		{"similar name", "licenses2/spdx.go", "strings", "the folder is in no room"},
		{"internal in a test", "client/push_test.go", module + "/internal/pgtest", ""},
		{"internal in a suite", "storage/storagetest/suite.go", module + "/internal/s3test", ""},
		{"internal in the product", "client/push.go", module + "/internal/pgtest", "outside a test"},
		{"suite in a test", "storage/fs/fs_test.go", module + "/storage/storagetest", ""},
		{"suite in the product", "storage/fs/fs.go", module + "/storage/storagetest", "outside a test"},
		{"test puts rooms together", "server/oci/e2e_test.go", module + "/storage/sqlstore", ""},
		{"owner", "storage/s3/driver.go", "github.com/minio/minio-go/v7", ""},
		{"not the owner", "registry/blob.go", "github.com/minio/minio-go/v7", "which only storage/s3 may"},
		{"not the owner, in a test", "client/push_test.go", "github.com/minio/minio-go/v7", "which only storage/s3 may"},
		{"echo", "registry/blob.go", "github.com/labstack/echo/v4", "which only server/..., web may"},
		{"pgx in cmd", "cmd/carat/serve.go", "github.com/jackc/pgx/v5/pgxpool", ""},
		{"pgx in web", "web/page.go", "github.com/jackc/pgx/v5", "which only storage/sqlstore, jobs, cmd/carat/..., internal/... may"},
		{"sqlite", "auth/user.go", "modernc.org/sqlite", "which only storage/sqlstore, jobs, cmd/carat/... may"},
		{"river", "storage/sqlstore/tx.go", "github.com/riverqueue/river/rivertype", "which only jobs may"},
		{"jwt", "server/token.go", "github.com/golang-jwt/jwt/v5", "which only auth may"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := violations([]file{{path.Dir(tc.file), path.Base(tc.file), []string{tc.imp}}})
			switch {
			case tc.want == "" && len(got) > 0:
				t.Errorf("found %v, want nothing", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)):
				t.Errorf("found %v, want one with %q", got, tc.want)
			}
		})
	}
}

// depguard is one rule of .golangci.yml.
type depguard struct {
	Mode  string   `yaml:"list-mode"`
	Files []string `yaml:"files"`
	Allow []string `yaml:"allow"`
	Deny  []struct {
		Pkg  string `yaml:"pkg"`
		Desc string `yaml:"desc"`
	} `yaml:"deny"`
}

// TestLinterAgrees compares the depguard rules with the table, so that an editor that shows the linter's findings shows the
// same rules.
func TestLinterAgrees(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]depguard `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	got := map[string]depguard{}
	for name, rule := range config.Linters.Settings.Depguard.Rules {
		for i := range rule.Deny {
			rule.Deny[i].Desc = ""
		}
		got[name] = rule
	}
	if diff := cmp.Diff(wantDepguard(), got); diff != "" {
		t.Errorf("depguard rules (-want by the table +got in .golangci.yml):\n%s", diff)
	}
}

// wantDepguard is the table in depguard's words. Its rules for our own packages leave tests out, those for others do not.
func wantDepguard() map[string]depguard {
	rules := map[string]depguard{}
	for _, r := range house {
		if r.name == "." || slices.Contains(r.may, "...") {
			continue
		}
		rule := depguard{Mode: "lax", Files: append(patterns(r.name), "!$test")}
		for _, other := range house {
			if base := tree(r.name); other.name != r.name && strings.HasPrefix(other.name, base+"/") {
				for _, p := range patterns(other.name) {
					rule.Files = append(rule.Files, "!"+p)
				}
			}
		}
		rule.Deny = append(rule.Deny, struct {
			Pkg  string `yaml:"pkg"`
			Desc string `yaml:"desc"`
		}{Pkg: module})
		may := slices.Clone(r.may)
		if tree(r.name) != r.name {
			may = append(may, tree(r.name))
		}
		if testHelp(r.name) && tree(r.name) != "internal" {
			may = append(may, "internal")
		}
		for _, m := range may {
			if other, ok := roomOf(m); ok && other.name == m {
				m += "$"
			}
			rule.Allow = append(rule.Allow, module+"/"+m)
		}
		rules[strings.ReplaceAll(tree(r.name), "/", "-")] = rule
	}
	for _, o := range owners {
		rule := depguard{Mode: "lax", Files: []string{"$all"}}
		for _, name := range o.rooms {
			for _, p := range patterns(name) {
				rule.Files = append(rule.Files, "!"+p)
			}
		}
		rule.Deny = append(rule.Deny, struct {
			Pkg  string `yaml:"pkg"`
			Desc string `yaml:"desc"`
		}{Pkg: o.prefix})
		rules["only-"+path.Base(o.prefix)] = rule
	}
	return rules
}

// tree is a room's folder.
func tree(name string) string { return strings.TrimSuffix(name, "/...") }

// patterns are the files of a room as depguard matches them.
func patterns(name string) []string {
	if base := tree(name); base != name {
		return []string{"${base-path}/" + base + "/*.go", "${base-path}/" + base + "/**/*.go"}
	}
	return []string{"${base-path}/" + name + "/*.go"}
}
