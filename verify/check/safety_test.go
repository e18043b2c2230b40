package check

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
)

// expectation is what a check should say of files.
type expectation struct {
	files   map[string]string
	outcome verify.Outcome
	reason  string // part of it
}

func expect(t *testing.T, c check, tests map[string]expectation) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := c.on(t, filesOf(tt.files))
			if f.outcome != tt.outcome || !strings.Contains(f.reason, tt.reason) {
				t.Errorf("%s: %s", f.outcome, f.reason)
			}
		})
	}
}

// one is a version of one file.
func one(name, text string) map[string]string { return map[string]string{name: text} }

func TestFormatsCheck(t *testing.T) {
	t.Parallel()
	const pickle = "cos\nsystem\n(S'id'\ntR."
	expect(t, formatsCheck, map[string]expectation{
		"texts":             {map[string]string{"README.md": "# A", "config.json": "{}"}, verify.OutcomePassed, ""},
		"a pickle":          {one("model.safetensors", pickle), verify.OutcomeFailed, "executable format: model.safetensors (pickle): unpickling it imports or calls more than plain tensors need: GLOBAL os.system"},
		"a harmless one":    {one("model.txt", "\x80\x02]."), verify.OutcomeWarned, "executable format: model.txt (pickle)"},
		"worst comes first": {map[string]string{"a.sh": "#!/bin/sh", "b.bin": pickle}, verify.OutcomeFailed, "b.bin"},
	})
}

func TestRemoteCodeCheck(t *testing.T) {
	t.Parallel()
	expect(t, remoteCodeCheck, map[string]expectation{
		"none":                 {one("config.json", `{"model_type":"llama","_name_or_path":"org/model--x","architectures":["A"]}`), verify.OutcomePassed, ""},
		"auto map":             {one("config.json", `{"auto_map":{"AutoModel":"modeling_x.XModel"}}`), verify.OutcomeWarned, "config.json: auto_map"},
		"nested auto map":      {one("config.json", `{"text_config":{"auto_map":{"AutoModel":"org/repo--modeling_x.XModel"}}}`), verify.OutcomeWarned, "text_config.auto_map"},
		"in the tokenizer":     {one("tokenizer_config.json", `{"auto_map":{"AutoTokenizer":["tok.T",null]}}`), verify.OutcomeWarned, "tokenizer_config.json: auto_map"},
		"other repository":     {one("config.json", `{"x":{"y":["org/repo--file.Class"]}}`), verify.OutcomeWarned, "another repository"},
		"private attention":    {one("config.json", `{"_attn_implementation_internal":"evil/kernel"}`), verify.OutcomeFailed, "_attn_implementation_internal"},
		"private experts":      {one("config.json", `{"vision_config":{"_experts_implementation_internal":"evil/kernel:f"}}`), verify.OutcomeFailed, "_experts_implementation_internal"},
		"private and plain":    {one("config.json", `{"_attn_implementation_internal":"sdpa"}`), verify.OutcomeWarned, "private setting"},
		"kernels":              {one("config.json", `{"attn_implementation":"kernels-community/flash-attn"}`), verify.OutcomeWarned, "kernels"},
		"plain attention":      {one("config.json", `{"attn_implementation":"sdpa"}`), verify.OutcomePassed, ""},
		"trust":                {one("tokenizer_config.json", `{"trust_remote_code":true}`), verify.OutcomeWarned, "trust_remote_code"},
		"no trust":             {one("tokenizer_config.json", `{"trust_remote_code":false}`), verify.OutcomePassed, ""},
		"pipeline":             {one("config.json", `{"custom_pipelines":{"x":{"impl":"p.P"}}}`), verify.OutcomeWarned, "custom_pipelines"},
		"Python":               {one("modeling_x.py", `import os`), verify.OutcomeWarned, "Python code: modeling_x.py"},
		"Python in a folder":   {one("custom_generate/generate.PY", ``), verify.OutcomeWarned, "generate.PY"},
		"modules":              {one("modules.json", `[{"type":"custom_st.Transformer"}]`), verify.OutcomeWarned, "custom_st.Transformer"},
		"known modules":        {one("modules.json", `[{"type":"sentence_transformers.models.Pooling"}]`), verify.OutcomePassed, ""},
		"same key, other case": {one("config.json", `{"Auto_Map":{}}`), verify.OutcomePassed, ""},
	})
}

func TestFilesCheck(t *testing.T) {
	t.Parallel()
	expect(t, filesCheck, map[string]expectation{
		"usual": {map[string]string{
			"config.json": "", "model-00001-of-00002.safetensors": "", "README.md": "", ".gitattributes": "", "1_Pooling/config.json": "",
			"model.Q4_K_M.gguf": "", "LICENSE": "", "model.onnx": "",
		}, verify.OutcomePassed, ""},
		"bidi":           {one("model\u202efdp.exe", ""), verify.OutcomeFailed, "<U+202E>"},
		"zero width":     {one("config\u200b.json", ""), verify.OutcomeFailed, "U+200B"},
		"control":        {one("a\x1b[2Jb.json", ""), verify.OutcomeFailed, "control character U+001B"},
		"look-alike":     {one("сonfig.json", ""), verify.OutcomeFailed, "look alike"},
		"two endings":    {one("model.safetensors.exe", ""), verify.OutcomeFailed, "like a program"},
		"other script":   {one("модель.json", ""), verify.OutcomePassed, ""},
		"device":         {one("aux.json", ""), verify.OutcomeWarned, "Windows keeps"},
		"device below":   {one("COM1/x.json", ""), verify.OutcomeWarned, "Windows keeps"},
		"case":           {map[string]string{"config.json": "", "Config.json": ""}, verify.OutcomeWarned, "in case only"},
		"trailing space": {one("config.json ", ""), verify.OutcomeWarned, "space or dot"},
		"colon":          {one("a:b.json", ""), verify.OutcomeWarned, "Windows does not allow"},
		"hidden":         {one(".env", ""), verify.OutcomeWarned, "hidden: .env"},
		"hidden folder":  {one(".git/config", ""), verify.OutcomeWarned, "hidden: .git/config"},
		"program":        {one("setup.exe", ""), verify.OutcomeWarned, "unexpected: setup.exe"},
		"large":          {one("README.md", strings.Repeat("x", 5<<20)), verify.OutcomeWarned, "large for its kind"},
	})
}

func TestSecretsCheck(t *testing.T) {
	t.Parallel()
	id := "AKIA" + "Q3EGRZ7JXW5TPNUH"
	expect(t, secretsCheck, map[string]expectation{
		"none":          {one("README.md", "Set HF_TOKEN to your token."), verify.OutcomePassed, ""},
		"a key":         {one("train.py", "a\nid = '"+id+"'"), verify.OutcomeFailed, `train.py line 2: AWS access key "AKIA…" of 20 characters`},
		"in metadata":   {one("m.safetensors", "\x00\x00\x00{\"__metadata__\":{\"k\":\""+id+"\"}}"), verify.OutcomeFailed, "AWS access key"},
		"in a password": {one(".netrc", "machine a login b password q7w8e9r0tyu"), verify.OutcomeWarned, "look like credentials"},
	})
	f := secretsCheck.on(t, filesOf(one("a", id)))
	p, err := json.Marshal(f.evidence)
	if err != nil || strings.Contains(string(p)+f.reason, id) || strings.Contains(string(p), id[:6]) {
		t.Errorf("the secret is shown: %s, %v", p, err)
	}
}
