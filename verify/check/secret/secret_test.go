package secret

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// random makes n characters of an alphabet. No secret in these tests is one.
func random(seed uint64, n int, alphabet string) string {
	r := rand.New(rand.NewPCG(seed, 7))
	p := make([]byte, n)
	for i := range p {
		p[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(p)
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

func sum62(body string) string {
	n, out := crc32.ChecksumIEEE([]byte(body)), ""
	for range 6 {
		out = string(digits62[n%62]) + out
		n /= 62
	}
	return out
}

func github(prefix string) string {
	body := random(1, 30, digits62)
	return prefix + body + sum62(body)
}

func pem(kind string, n int) string {
	p := make([]byte, n)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range p {
		p[i] = byte(r.IntN(256))
	}
	s, b := base64.StdEncoding.EncodeToString(p), strings.Builder{}
	for len(s) > 0 {
		k := min(64, len(s))
		b.WriteString(s[:k] + "\n")
		s = s[k:]
	}
	return "-----BEGIN " + kind + "-----\n" + b.String() + "-----END " + kind + "-----\n"
}

func serviceAccount(t *testing.T) string {
	t.Helper()
	p, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "p", "private_key": pem("PRIVATE KEY", 1200)})
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestSecretsAreFound(t *testing.T) {
	t.Parallel()
	web := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"7781","iat":1}`)) + "." + random(9, 43, digits62)
	tests := map[string]struct{ file, text, kind string }{
		"AWS id":             {"train.py", `key = "AKIA` + random(2, 16, base32) + `"`, "AWS access key"},
		"AWS temporary id":   {"a", "ASIA" + random(3, 16, base32), "AWS access key"},
		"AWS secret":         {"credentials", "aws_secret_access_key = " + random(4, 40, digits62+"/+"), "AWS secret key"},
		"GitHub":             {"README.md", "use " + github("ghp_") + ".", "GitHub token"},
		"GitHub server":      {"a", github("ghs_"), "GitHub token"},
		"GitHub fine":        {"a", "github_pat_" + random(5, 22, digits62) + "_" + random(6, 59, digits62), "GitHub token"},
		"npm":                {".npmrc", "//registry.npmjs.org/:_x=" + github("npm_"), "npm token"},
		"Hugging Face":       {"config.json", `{"token": "hf_` + random(7, 34, letters) + `"}`, "Hugging Face token"},
		"OpenAI":             {"a.py", "sk-" + random(8, 20, digits62) + "T3BlbkFJ" + random(9, 20, digits62), "OpenAI key"},
		"OpenAI project":     {"a.py", "sk-proj-" + random(8, 74, digits62) + "T3BlbkFJ" + random(9, 74, digits62), "OpenAI key"},
		"Anthropic":          {"a.py", "sk-ant-api03-" + random(10, 95, digits62), "Anthropic key"},
		"Slack":              {"a", "xoxb-" + random(11, 12, "0123456789") + "-" + random(12, 24, digits62), "Slack token"},
		"Slack webhook":      {"a", "https://hooks.slack.com/services/T" + random(13, 10, base32) + "/B" + random(14, 10, base32) + "/" + random(15, 24, digits62), "Slack webhook"},
		"Google":             {"a", "AIza" + random(16, 35, digits62), "Google API key"},
		"Google account":     {"key.json", serviceAccount(t), "Google service account"},
		"RSA key":            {"id_rsa", pem("RSA PRIVATE KEY", 1190), "private key"},
		"SSH key":            {"id_ed25519", pem("OPENSSH PRIVATE KEY", 250), "private key"},
		"key in JSON":        {"a.json", strings.ReplaceAll(pem("PRIVATE KEY", 1200), "\n", `\n`), "private key"},
		"PyPI":               {"a", "pypi-" + base64.RawURLEncoding.EncodeToString([]byte("\x02\x01\x08pypi.org\x02\x24"+random(17, 60, digits62))), "PyPI token"},
		"GitLab":             {"a", "glpat-" + random(18, 20, digits62), "GitLab token"},
		"Stripe":             {"a", "sk_live_" + random(19, 24, digits62), "Stripe key"},
		"Azure":              {"a", "AccountKey=" + random(20, 86, digits62) + "==", "Azure storage key"},
		"web token":          {"a", web, "signed web token"},
		"database":           {"a", "postgres://app:" + random(21, 14, digits62) + "@db.internal.net/x", "password in an address"},
		"environment":        {".env", "DB_PASSWORD=" + random(22, 14, digits62), "secret of the environment"},
		"production":         {"x/.env.production", "export WANDB_API_KEY='" + random(23, 40, "0123456789abcdef") + "'", "secret of the environment"},
		"netrc":              {".netrc", "machine api.wandb.ai\n  login user\n  password " + random(24, 40, "0123456789abcdef"), "password of netrc"},
		"npmrc":              {".npmrc", "//r.example.org/:_authToken=" + random(25, 36, digits62), "npm credential"},
		"behind a long line": {"a", strings.Repeat("x ", 100_000) + github("gho_"), "GitHub token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := Scan(tt.file, []byte("first line\n"+tt.text+"\n"))
			if len(found) == 0 || found[0].Line < 2 {
				t.Fatalf("%+v", found)
			}
			kinds := map[string]bool{}
			for _, m := range found {
				kinds[m.Kind] = true
				if len(m.Shown) > 4 || m.Length < 8 {
					t.Errorf("%+v", m)
				}
			}
			if !kinds[tt.kind] {
				t.Errorf("found %+v, want %s", found, tt.kind)
			}
		})
	}
}

func TestPlaceholdersAreNotFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ file, text string }{
		"AWS's own example":     {"README.md", "AKIAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		"AWS id in lower case":  {"a", "akia" + strings.ToLower(random(2, 16, base32))},
		"AWS id of one letter":  {"a", "AKIAAAAAAAAAAAAAAAAA"},
		"too long":              {"a", "AKIA" + random(2, 30, base32)},
		"inside a word":         {"a", "xAKIA" + random(2, 16, base32)},
		"GitHub, wrong sum":     {"a", "ghp_" + random(1, 36, digits62)},
		"GitHub, words":         {"a", "ghp_" + strings.Repeat("x", 36)},
		"HF in words":           {"README.md", "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx hf_transfer hf_hub_download"},
		"HF, yours":             {"README.md", "export HF_TOKEN=hf_YourTokenHereYourTokenHereYourToken"},
		"OpenAI, dots":          {"a", `api_key="sk-..."`},
		"Slack":                 {"a", "xoxb-your-token"},
		"key without a body":    {"a", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"},
		"public key":            {"a", pem("PUBLIC KEY", 300)},
		"certificate":           {"a", pem("CERTIFICATE", 800)},
		"environment, empty":    {".env", "API_KEY=\nTOKEN=changeme_changeme\nSECRET=${SECRET_FROM_VAULT}"},
		"environment elsewhere": {"README.md", "DB_PASSWORD=" + random(22, 14, digits62)},
		"address":               {"a", "https://user:password@example.com/ and https://carat.dev:8080/a@b"},
		"unsigned web token":    {"a", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".eyJzdWIiOiIxIn0xxx." + random(9, 30, digits62)},
		"digest":                {"a", "sha256:" + random(30, 64, "0123456789abcdef")},
		"base64 weights":        {"a", random(31, 4000, digits62+"+/")},
	}
	for name, tt := range tests {
		if found := Scan(tt.file, []byte(tt.text)); len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestLinesAndMasks(t *testing.T) {
	t.Parallel()
	id := "AKIA" + random(2, 16, base32)
	token := github("ghp_")
	got := Scan("a", []byte("x\n"+id+"\n\n"+token+"\n"+token))
	want := []Match{
		{Kind: "AWS access key", Line: 2, Shown: "AKIA", Length: 20, Certain: true},
		{Kind: "GitHub token", Line: 4, Shown: "ghp_", Length: 40, Certain: true},
		{Kind: "GitHub token", Line: 5, Shown: "ghp_", Length: 40, Certain: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(".env", []byte("TOKEN=abcdef"))
	f.Add("a", []byte(github("ghp_")))
	f.Add("a", []byte(pem("RSA PRIVATE KEY", 100)))
	f.Add("a", []byte(`{"type":"service_account","private_key":"x"}`))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		found := Scan(name, text)
		if len(found) > maxMatches {
			t.Fatalf("%d matches", len(found))
		}
		for _, m := range found {
			if len(m.Shown) > 4 || m.Length == 0 || m.Line < 1 || m.Length > len(text) {
				t.Fatalf("%+v", m)
			}
		}
	})
}
