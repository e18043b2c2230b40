package s3_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carat-hub/carat/storage/s3"
)

// env is a getenv over pairs of name and value, with keys.
func env(pairs ...string) func(string) string {
	m := map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "hush"}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, url string
		env       func(string) string
		want      s3.Options
	}{
		{
			"bucket only", "s3://models", env(),
			s3.Options{Bucket: "models", Endpoint: "https://s3.amazonaws.com", Region: "us-east-1"},
		},
		{
			"all parameters",
			"s3://models/a/b/?endpoint=http://s3:9000&region=eu-1&path-style=false&public-endpoint=https://blobs.example.org",
			env("AWS_REGION", "unused", "AWS_ENDPOINT_URL", "http://unused"),
			s3.Options{
				Bucket: "models", Prefix: "a/b", Endpoint: "http://s3:9000", Region: "eu-1",
				PublicEndpoint: "https://blobs.example.org",
			},
		},
		{
			"from the environment", "s3://models",
			env("AWS_REGION", "eu-2", "AWS_ENDPOINT_URL_S3", "http://first", "AWS_ENDPOINT_URL", "http://second", "AWS_SESSION_TOKEN", "tok"),
			s3.Options{Bucket: "models", Endpoint: "http://first", Region: "eu-2", PathStyle: true, SessionToken: "tok"},
		},
		{
			"path style on Amazon", "s3://models?path-style=true&endpoint=https://s3.eu-1.amazonaws.com", env("AWS_DEFAULT_REGION", "eu-1"),
			s3.Options{Bucket: "models", Endpoint: "https://s3.eu-1.amazonaws.com", Region: "eu-1", PathStyle: true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.want.AccessKeyID, tc.want.SecretAccessKey = "id", "hush"
			got, err := s3.ParseURL(tc.url, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseURLErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url  string
		env  func(string) string
		want string // part of the message
	}{
		{"http://models", env(), `does not begin with "s3://"`},
		{"models", env(), `does not begin with "s3://"`},
		{"s3://", env(), "not the name of a bucket"},
		{"s3:models", env(), "not of the form"},
		{"s3://UPPER", env(), "not the name of a bucket"},
		{"s3://mo..dels", env(), "not the name of a bucket"},
		{"s3://models:9000", env(), "not the name of a bucket"},
		{"s3://id:hush@models", env(), "holds keys"},
		{"s3://id:hush@mod els", env(), "blob URL: invalid"},
		{"s3://models/a//b", env(), "bucket prefix"},
		{"s3://models/../b", env(), "bucket prefix"},
		{"s3://models/a%20b", env(), "bucket prefix"},
		{"s3://models#x", env(), "not of the form"},
		{"s3://models?insecure=true", env(), `unknown parameter "insecure"`},
		{"s3://models?region=a&region=b", env(), `"region" more than once`},
		{"s3://models?region=a/b", env(), "not the name of a region"},
		{"s3://models?path-style=maybe", env(), `"maybe"`},
		{"s3://models?endpoint=s3:9000", env(), "S3 endpoint is not of the form"},
		{"s3://models?endpoint=ftp://s3", env(), "S3 endpoint is not of the form"},
		{"s3://models?endpoint=http://s3/path", env(), "S3 endpoint is not of the form"},
		{"s3://models?public-endpoint=http://id:hush@s3", env(), "S3 endpoint is not of the form"},
		{"s3://models?a=%zz", env(), "parameters of blob URL"},
		{"s3://models?a;b", env(), "parameters of blob URL"},
		{"s3://models", env("AWS_SECRET_ACCESS_KEY", ""), "S3 keys are missing"},
		{"s3://models?region=" + strings.Repeat("x", 5000), env(), "longer than"},
	} {
		got, err := s3.ParseURL(tc.url, tc.env)
		if err == nil {
			t.Errorf("ParseURL(%.60q) = %+v", tc.url, got)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("ParseURL(%.60q): %v, want %q", tc.url, err, tc.want)
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("ParseURL(%.60q) tells the secret: %v", tc.url, err)
		}
	}
}

// TestOptionsHideKeys prints options in all the ways that end up in logs.
func TestOptionsHideKeys(t *testing.T) {
	t.Parallel()
	o, err := s3.ParseURL("s3://models", env("AWS_SESSION_TOKEN", "hush"))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	slog.New(slog.NewJSONHandler(&buf, nil)).Info("opened", slog.Any("blobs", o))
	fmt.Fprintf(&buf, "%v %+v %s", o, o, o)
	if got := buf.String(); strings.Contains(got, "hush") || !strings.Contains(got, "bucket models at https://s3.amazonaws.com") {
		t.Errorf("printed %s", got)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"s3://models/a/b?endpoint=http://s3:9000&region=eu-1&path-style=true",
		"s3://models?public-endpoint=https://[::1]:1",
		"s3://id:secret@models", "s3:models", "s3://models/%2e%2e/x", "s3://models?endpoint=http%3A%2F%2Fa",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := s3.ParseURL(raw, env())
		if err != nil {
			if o != (s3.Options{}) {
				t.Fatalf("ParseURL(%q) = %+v with an error", raw, o)
			}
			return
		}
		if o.Bucket == "" || o.Region == "" || o.Endpoint == "" || strings.ContainsAny(o.Bucket+o.Prefix, "%?#:@\\ \x00") ||
			strings.Contains("/"+o.Prefix+"/", "/../") || strings.Contains(o.Prefix, "//") {
			t.Fatalf("ParseURL(%q) = %+v", raw, o)
		}
	})
}
