package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"regexp"
	"strings"
)

// digits62 are the digits of the checksums in tokens.
const digits62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checksummed reports whether the last six characters of a token are the CRC-32 of what lies between its prefix and them,
// in base 62, as GitHub and npm write them.
func checksummed(token string) bool {
	i := strings.IndexByte(token, '_')
	if i < 0 || len(token) < i+1+7 {
		return false
	}
	body, want := token[i+1:len(token)-6], token[len(token)-6:]
	sum := crc32.ChecksumIEEE([]byte(body))
	digits := make([]byte, 6)
	for j := len(digits) - 1; j >= 0; j-- {
		digits[j] = digits62[sum%62]
		sum /= 62
	}
	return string(digits) == want
}

// awsID reports whether an AWS access key's id holds the number of an account, as all have since 2019.
func awsID(id string) bool {
	return strings.Trim(id[4:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// key reports whether what follows the first line of a private key is one: base64 whose begin names the format.
func key(body string) bool {
	var text strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(body, `\n`, "\n")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-----END") {
			break
		}
		if !strings.Contains(line, ":") { // headers of encrypted keys
			text.WriteString(line)
		}
	}
	s := strings.TrimRight(text.String(), "=")
	if i := strings.LastIndexByte(s, '='); i >= 0 { // the checksum of PGP
		s = strings.TrimRight(s[:i], "=")
	}
	p, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || len(p) < 32 {
		return false
	}
	return true
}

// account reports whether a text that holds a private key is the JSON of a Google service account.
func account(object string) bool {
	var a struct {
		Type string `json:"type"`
		Key  string `json:"private_key"`
	}
	return json.NewDecoder(strings.NewReader(object)).Decode(&a) == nil && a.Type == "service_account" && len(a.Key) > 100
}

// jwt reports whether a token is signed and no example: its head is JSON that names an algorithm.
func jwt(token string) bool {
	head, _, _ := strings.Cut(token, ".")
	p, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Alg string `json:"alg"`
	}
	return err == nil && json.Unmarshal(p, &h) == nil && h.Alg != "" && h.Alg != "none"
}

// pypi reports whether a token of PyPI is a macaroon of that site.
func pypi(token string) bool {
	p, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimPrefix(token, "pypi-"), "="))
	return err == nil && len(p) > 16 && p[0] == 2 && binary.BigEndian.Uint16(p[1:]) > 0 && strings.Contains(string(p[:min(len(p), 16)]), "pypi.org")
}

func environment(name string) bool {
	return strings.HasPrefix(name, ".env") || strings.HasSuffix(name, ".env") || name == "credentials" || name == ".bashrc" || name == ".bash_history" || name == ".zsh_history"
}

func named(names ...string) func(string) bool {
	return func(name string) bool {
		for _, n := range names {
			if name == n {
				return true
			}
		}
		return false
	}
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(`^` + s) }

// near compiles a form whose hint does not come first.
func near(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// forms are what is searched for. Prefixes and lengths are those that the issuers document.
var forms = []form{
	{kind: "AWS access key", hint: "AKIA", re: re(`(AKIA[A-Z0-9]{16})`), entropy: 2.8, check: awsID},
	{kind: "AWS access key", hint: "ASIA", re: re(`(ASIA[A-Z0-9]{16})`), entropy: 2.8, check: awsID},
	{kind: "AWS secret key", hint: "aws_secret_access_key", re: re(`aws_secret_access_key["']?\s{0,4}[=:]\s{0,4}["']?([A-Za-z0-9/+]{40})`), entropy: 4},
	{kind: "AWS secret key", hint: "AWS_SECRET_ACCESS_KEY", re: re(`AWS_SECRET_ACCESS_KEY["']?\s{0,4}[=:]\s{0,4}["']?([A-Za-z0-9/+]{40})`), entropy: 4},
	{kind: "GitHub token", hint: "ghp_", re: re(`(ghp_[A-Za-z0-9]{36})`), check: checksummed},
	{kind: "GitHub token", hint: "gho_", re: re(`(gho_[A-Za-z0-9]{36})`), check: checksummed},
	{kind: "GitHub token", hint: "ghu_", re: re(`(ghu_[A-Za-z0-9]{36})`), check: checksummed},
	{kind: "GitHub token", hint: "ghs_", re: re(`(ghs_[A-Za-z0-9]{36})`), check: checksummed},
	{kind: "GitHub token", hint: "ghr_", re: re(`(ghr_[A-Za-z0-9]{36,76})`), check: checksummed},
	{kind: "GitHub token", hint: "github_pat_", re: re(`(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})`), entropy: 4},
	{kind: "npm token", hint: "npm_", re: re(`(npm_[A-Za-z0-9]{36})`), check: checksummed},
	{kind: "Hugging Face token", hint: "hf_", re: re(`(hf_[A-Za-z]{34})`), entropy: 3.8},
	{kind: "Hugging Face token", hint: "api_org_", re: re(`(api_org_[A-Za-z]{34})`), entropy: 3.8},
	{kind: "OpenAI key", hint: "T3BlbkFJ", before: 180, re: near(`\b(sk-(?:(?:proj|svcacct|admin)-)?[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100})`), entropy: 4},
	{kind: "Anthropic key", hint: "sk-ant-", re: re(`(sk-ant-[a-z]{3,8}[0-9]{2}-[A-Za-z0-9_-]{80,120})`), entropy: 4},
	{kind: "Slack token", hint: "xox", re: re(`(xox[abeprs]-[0-9]{8,}-[0-9A-Za-z-]{16,200})`), entropy: 3},
	{kind: "Slack token", hint: "xapp-", re: re(`(xapp-[0-9]-[A-Z0-9]{8,}-[0-9]{8,}-[0-9a-f]{40,})`), entropy: 3},
	{kind: "Slack webhook", hint: "https://hooks.slack.com/", re: re(`(https://hooks\.slack\.com/(?:services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}|workflows/[A-Z0-9/]{16,})/[A-Za-z0-9]{16,64})`), entropy: 4},
	{kind: "Google API key", hint: "AIza", re: re(`(AIza[0-9A-Za-z_-]{35})`), entropy: 4},
	{kind: "Google service account", hint: `"service_account"`, before: 4096, re: near(`(?s)(\{[^{}]*"private_key"\s*:\s*"[^"]{100,}"[^{}]*\})`), check: account},
	{kind: "Google OAuth secret", hint: "GOCSPX-", re: re(`(GOCSPX-[A-Za-z0-9_-]{28})`), entropy: 3.5},
	{kind: "private key", hint: "-----BEGIN ", re: re(`-----BEGIN (?:RSA |EC |DSA |OPENSSH |ENCRYPTED )?PRIVATE KEY-----((?:\\n|\s)[^-]{40,})`), check: key},
	{kind: "PGP private key", hint: "-----BEGIN PGP PRIVATE", re: re(`-----BEGIN PGP PRIVATE KEY BLOCK-----(\s[^-]{100,})`), check: key},
	{kind: "PyPI token", hint: "pypi-", re: re(`(pypi-AgE[A-Za-z0-9_-]{50,200})`), check: pypi},
	{kind: "GitLab token", hint: "glpat-", re: re(`(glpat-[A-Za-z0-9_-]{20,52})`), entropy: 3.5},
	{kind: "Stripe key", hint: "k_live_", before: 1, re: re(`([rs]k_live_[0-9A-Za-z]{24,99})`), entropy: 3.5},
	{kind: "SendGrid key", hint: "SG.", re: re(`(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})`), entropy: 4.2},
	{kind: "DigitalOcean token", hint: "dop_v1_", re: re(`(dop_v1_[0-9a-f]{64})`), entropy: 3.3},
	{kind: "Replicate token", hint: "r8_", re: re(`(r8_[A-Za-z0-9]{37})`), entropy: 4},
	{kind: "Azure storage key", hint: "AccountKey=", re: re(`AccountKey=([A-Za-z0-9+/]{86}==)`), entropy: 4.5},
	{kind: "signed web token", hint: "eyJ", re: re(`(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,})`), check: jwt, guess: true},
	{kind: "password in an address", hint: "://", re: re(`://[A-Za-z0-9._-]{1,64}:([^\s/@:'"<>{}$%]{8,64})@[a-z0-9.-]+\.[a-z]{2,}`), entropy: 3, guess: true},
	{kind: "npm credential", hint: "_authToken", files: named(".npmrc"), re: re(`_authToken\s*=\s*(\S{16,200})`), entropy: 3, guess: true},
	{kind: "npm credential", hint: "_password", files: named(".npmrc"), re: re(`_password\s*=\s*(\S{8,200})`), entropy: 2.5, guess: true},
	{kind: "password of netrc", hint: "password", files: named(".netrc", "_netrc", "netrc"), re: re(`password\s+(\S{8,200})`), entropy: 2.5, guess: true},
	{kind: "PyPI password", hint: "password", files: named(".pypirc"), re: re(`password\s*[=:]\s*(\S{8,200})`), entropy: 2.5, guess: true},
	{kind: "registry credential", hint: `"auth"`, files: named("config.json", ".dockercfg", ".dockerconfigjson"), re: re(`"auth"\s*:\s*"([A-Za-z0-9+/]{16,}={0,2})"`), entropy: 3.5, guess: true},
	{kind: "secret of the environment", hint: "SECRET", files: environment, inside: true, re: re(`SECRET[A-Z_]{0,40}\s*=\s*["']?([^\s"'#]{12,200})`), entropy: 3, guess: true},
	{kind: "secret of the environment", hint: "TOKEN", files: environment, inside: true, re: re(`TOKEN[A-Z_]{0,40}\s*=\s*["']?([^\s"'#]{12,200})`), entropy: 3, guess: true},
	{kind: "secret of the environment", hint: "PASSWORD", files: environment, inside: true, re: re(`PASSWORD[A-Z_]{0,40}\s*=\s*["']?([^\s"'#]{8,200})`), entropy: 2.5, guess: true},
	{kind: "secret of the environment", hint: "API_KEY", files: environment, inside: true, re: re(`API_KEY[A-Z_]{0,40}\s*=\s*["']?([^\s"'#]{12,200})`), entropy: 3, guess: true},
}
