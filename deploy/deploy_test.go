package deploy_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines are the lines of a file that say something.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// compose is the part of the Compose format that the file uses; the decoder refuses any other.
type compose struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Restart   string `yaml:"restart"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Command     []string          `yaml:"command"`
	Healthcheck *struct {
		Test     []string `yaml:"test"`
		Interval string   `yaml:"interval"`
		Timeout  string   `yaml:"timeout"`
		Retries  int      `yaml:"retries"`
	} `yaml:"healthcheck"`
}

func loadCompose(t *testing.T) compose {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(read(t, "../docker-compose.yml")))
	dec.KnownFields(true)
	var c compose
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeHoldsTogether(t *testing.T) {
	t.Parallel()
	c := loadCompose(t)
	for name, s := range c.Services {
		if (s.Image == "") == (s.Build.Dockerfile == "") {
			t.Errorf("%s: image %q and Dockerfile %q, want one of them", name, s.Image, s.Build.Dockerfile)
		}
		if s.Image != "" && !regexp.MustCompile(`:v?[0-9]`).MatchString(s.Image) {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		if s.Build.Dockerfile != "" {
			read(t, filepath.Join("..", s.Build.Context, s.Build.Dockerfile))
		}
		for other, on := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
			if on.Condition == "service_healthy" && c.Services[other].Healthcheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[from]; !ok {
				t.Errorf("%s mounts %s, which is no volume", name, from)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to the network, with passwords that everybody knows", name, p)
			}
		}
	}
}

// TestComposeAddresses follows the hub's settings to the services that they name.
func TestComposeAddresses(t *testing.T) {
	t.Parallel()
	c := loadCompose(t)
	hub, postgres, s3 := c.Services["carat"].Environment, c.Services["postgres"], c.Services["s3"]

	db, err := url.Parse(hub["CARAT_DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	password, _ := db.User.Password()
	got := []string{db.Scheme, db.Hostname(), db.Port(), db.User.Username(), password, strings.TrimPrefix(db.Path, "/")}
	env := postgres.Environment
	want := []string{"postgres", "postgres", "5432", env["POSTGRES_USER"], env["POSTGRES_PASSWORD"], env["POSTGRES_DB"]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("CARAT_DATABASE_URL (-want +got):\n%s", diff)
	}

	blobs, err := url.Parse(hub["CARAT_BLOBS"])
	if err != nil {
		t.Fatal(err)
	}
	q := blobs.Query()
	gotS3 := map[string]string{
		"scheme": blobs.Scheme, "endpoint": q.Get("endpoint"), "public": q.Get("public-endpoint"), "style": q.Get("path-style"),
		"region": q.Get("region"), "key": hub["AWS_ACCESS_KEY_ID"], "secret": hub["AWS_SECRET_ACCESS_KEY"],
	}
	port := s3.Command[slices.Index(s3.Command, "--port")+1]
	wantS3 := map[string]string{
		"scheme": "s3", "endpoint": "http://s3" + port, "public": "http://localhost" + port, "style": "true",
		"region": s3.Command[slices.Index(s3.Command, "--region")+1],
		"key":    s3.Environment["ROOT_ACCESS_KEY"], "secret": s3.Environment["ROOT_SECRET_KEY"],
	}
	if diff := cmp.Diff(wantS3, gotS3); diff != "" {
		t.Errorf("CARAT_BLOBS (-want +got):\n%s", diff)
	}
	if !slices.Contains(s3.Ports, "127.0.0.1"+port+port) {
		t.Errorf("the public endpoint's port is not published: %v", s3.Ports)
	}
	data := s3.Command[len(s3.Command)-1]
	if diff := cmp.Diff([]string{"mkdir", "-p", data + "/" + blobs.Host}, c.Services["bucket"].Command); diff != "" {
		t.Errorf("the bucket (-want +got):\n%s", diff)
	}
}

// TestVersionsAgree compares the images with what the tests run.
func TestVersionsAgree(t *testing.T) {
	t.Parallel()
	_, version, _ := strings.Cut(loadCompose(t).Services["s3"].Image, ":")
	if pin := read(t, "../tools/versitygw/go.mod"); !strings.Contains(pin, "versity/versitygw "+version+"\n") &&
		!strings.Contains(pin, "versity/versitygw "+version+" ") {
		t.Errorf("docker-compose.yml runs versitygw %s, tools/versitygw pins another", version)
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if goVersion == nil || !strings.Contains(read(t, "Dockerfile"), "FROM golang:"+goVersion[1]+"-") {
		t.Errorf("the Dockerfile builds with another Go than go.mod's %v", goVersion)
	}
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "ARG", "ENV", "USER", "EXPOSE", "VOLUME", "ENTRYPOINT", "CMD"}
	var stages int
	last := map[string]string{} // of the last stage: instruction to its arguments
	static := false
	for _, line := range lines(read(t, "Dockerfile")) {
		instruction, args, _ := strings.Cut(line, " ")
		if !slices.Contains(known, instruction) {
			t.Errorf("unknown instruction: %s", line)
		}
		if instruction == "FROM" {
			stages++
			clear(last)
		}
		if instruction == "COPY" && !strings.Contains(args, "--from=") {
			sources := strings.Fields(args)
			for _, source := range sources[:len(sources)-1] {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("COPY: %v", err)
				}
			}
		}
		static = static || (instruction == "RUN" && strings.Contains(args, "CGO_ENABLED=0 go build"))
		last[instruction] = args
	}
	if stages != 2 || !static {
		t.Errorf("%d stages, static build = %t, want 2 with one", stages, static)
	}
	if user, _, _ := strings.Cut(last["USER"], ":"); user == "" || user == "0" || user == "root" {
		t.Errorf("the image runs as %q", last["USER"])
	}
	var entry, cmd []string
	if err := json.Unmarshal([]byte(last["ENTRYPOINT"]), &entry); err != nil {
		t.Fatalf("ENTRYPOINT %s: %v", last["ENTRYPOINT"], err)
	}
	if err := json.Unmarshal([]byte(last["CMD"]), &cmd); err != nil {
		t.Fatalf("CMD %s: %v", last["CMD"], err)
	}
	if diff := cmp.Diff([]string{"/usr/local/bin/carat", "serve"}, append(entry, cmd...)); diff != "" {
		t.Errorf("what the image runs (-want +got):\n%s", diff)
	}
	if !strings.Contains(last["COPY"], last["VOLUME"]) {
		t.Errorf("the volume %s is not made with its owner: COPY %s", last["VOLUME"], last["COPY"])
	}
}

func TestService(t *testing.T) {
	t.Parallel()
	section, got := "", map[string]string{}
	for _, line := range lines(read(t, "carat.service")) {
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			t.Errorf("not a setting of a section: %s", line)
		}
		if _, twice := got[section+"."+key]; twice {
			t.Errorf("%s is set twice", key)
		}
		got[section+"."+key] = value
	}
	for key, want := range map[string]string{
		"Service.ExecStart":             "/usr/local/bin/carat serve",
		"Service.Environment":           "CARAT_DATA=%S/carat",
		"Service.StateDirectory":        "carat",
		"Service.DynamicUser":           "yes",
		"Service.NoNewPrivileges":       "yes",
		"Service.CapabilityBoundingSet": "",
		"Service.ProtectSystem":         "strict",
		"Service.ProtectHome":           "yes",
		"Service.PrivateTmp":            "yes",
		"Install.WantedBy":              "multi-user.target",
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s = %q, want %q", key, value, want)
		}
	}
	// The verification's sandbox divides the control group.
	if got := strings.Fields(got["Service.Delegate"]); !slices.Contains(got, "memory") || !slices.Contains(got, "pids") {
		t.Errorf("Delegate = %q, want memory and pids in it", got)
	}
	if got["Service.ProtectControlGroups"] != "no" {
		t.Error("what is delegated cannot be written")
	}
	// The verification's sandbox needs these.
	for _, kind := range []string{"user", "net"} {
		if !slices.Contains(strings.Fields(got["Service.RestrictNamespaces"]), kind) {
			t.Errorf("RestrictNamespaces = %q, want %s in it", got["Service.RestrictNamespaces"], kind)
		}
	}
}

func TestNginx(t *testing.T) {
	t.Parallel()
	var depth int
	var got []string
	for _, line := range lines(read(t, "nginx.conf")) {
		switch {
		case strings.HasSuffix(line, "{"):
			depth++
		case line == "}":
			depth--
		case strings.HasSuffix(line, ";"):
			got = append(got, strings.Join(strings.Fields(strings.TrimSuffix(line, ";")), " "))
		default:
			t.Errorf("neither a block nor a directive: %s", line)
		}
		if depth < 0 {
			t.Fatalf("a block is closed that was not opened: %s", line)
		}
	}
	if depth != 0 {
		t.Errorf("%d blocks are left open", depth)
	}
	for _, want := range []string{
		"client_max_body_size 0", "proxy_request_buffering off", "proxy_buffering off", "proxy_max_temp_file_size 0",
		"proxy_http_version 1.1", "gzip off", "proxy_pass http://carat", "proxy_redirect off",
		"proxy_set_header Host $http_host", "proxy_set_header X-Forwarded-Proto $scheme", "proxy_set_header Range $http_range",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
