package inference

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/internal/shared"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tokenizer"
)

func encoder(t testing.TB, m *Model, o EncoderOptions) *Encoder {
	t.Helper()
	e, err := m.NewEncoder(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// far returns the largest difference of two vectors by the largest element of the second.
func far(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	largest, worst := 0.0, 0.0
	for i, v := range want {
		largest = max(largest, math.Abs(v))
		if d := math.Abs(float64(got[i]) - v); !(d <= worst) {
			worst = d
		}
	}
	return worst / largest
}

// TestTrainedEncoder compares the embeddings of a trained BERT with those that PyTorch computed.
func TestTrainedEncoder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, err := os.ReadFile(shared.Path(t, "tiny-bert", "reference_torch.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Sentences  []string
		IDs        [][]int
		Embeddings [][]float64
	}
	if err := json.Unmarshal(b, &want); err != nil || len(want.Sentences) == 0 {
		t.Fatal(len(want.Sentences), err)
	}
	for name, path := range map[string]string{"folder": shared.Path(t, "tiny-bert"), "gguf": shared.Path(t, "tiny-bert", "tiny-bert-f32.gguf")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := open(t, path)
			tok, err := m.Tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			e := encoder(t, m, EncoderOptions{Threads: 2, Normalize: true})
			all, err := e.EmbedAll(ctx, want.Sentences)
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range want.Sentences {
				if d := cmp.Diff(want.IDs[i], tok.Encode(s, true)); d != "" {
					t.Error(d)
				}
				alone, err := e.Embed(ctx, s)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(alone, all[i]) {
					t.Errorf("%q has another embedding among others", s)
				}
				difference := far(alone, want.Embeddings[i])
				t.Logf("%q differs by %.2g of the largest element", s, difference)
				if !(difference <= 1e-5) {
					t.Errorf("%q differs by %.3g of the largest element", s, difference)
				}
			}
			if alike, other := Similarity(all[0], all[1]), Similarity(all[0], all[2]); !(alike > other) {
				t.Errorf("similarity of sentences on light %g, of others %g", alike, other)
			}
			facts := m.Facts()
			if facts.Kind != "encoder" || facts.Task != FeatureExtraction || facts.Pooling != PoolingMean || facts.EmbeddingSize != 128 ||
				facts.Normalized != (name == "folder") || facts.ContextLength != 128 || !facts.Runnable {
				t.Errorf("facts: %+v", facts)
			}
			_, err = session(t, m, SessionOptions{}).Generate(ctx, []int{2, 3}, GenerateOptions{MaxTokens: 1})
			var unsupported *UnsupportedError
			if !errors.As(err, &unsupported) || unsupported.What != "task" {
				t.Errorf("an encoder generates: %v", err)
			}
			if _, err := m.Perplexity(ctx, "text", 4, 1); !errors.As(err, &unsupported) {
				t.Errorf("an encoder has a perplexity: %v", err)
			}
		})
	}
}

// letterFile is a tokenizer.json that makes each letter from a on a token, the first one with id 1.
func letterFile(postProcessor object) object {
	vocab := map[string]int{"[UNK]": 0}
	for i := range 26 {
		vocab[string(rune('a'+i))] = i + 1
	}
	return object{
		"model":          object{"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"},
		"pre_tokenizer":  object{"type": "Split", "pattern": object{"Regex": "[a-z]"}, "behavior": "Isolated"},
		"post_processor": postProcessor,
	}
}

func letters(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	b, err := json.Marshal(letterFile(nil))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.FromJSON(b, tokenizer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestDecodersEncode takes the states of random models of each architecture through the output layer: those are the logits that a
// session gives for the same tokens.
func TestDecodersEncode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := make([]int, 20)
	for i := range ids {
		ids[i] = i + 1
	}
	for i, g := range generatedArchitectures {
		g.seed = uint64(i)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			m, err := Open(ctx, g.toy().gguf(t))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.desc.Temperature.Floor > 0 {
				m.desc.Temperature.Floor = 3 // so that a few tokens show it
			}
			want := evalAll(t, session(t, m, SessionOptions{}), ids)
			e := encoder(t, m, EncoderOptions{})
			e.s.batch = 7
			err = e.run(ctx, []passage{{ids: ids[:3]}, {ids: ids}}, func(i int, states []float32) error {
				for at, expected := range want {
					if i == 0 && at >= 3 {
						break
					}
					got := make([]float32, m.Vocabulary())
					if err := e.s.mul(m.weights.output, states[at*genHidden:(at+1)*genHidden], 1, got); err != nil {
						return err
					}
					if d := m.desc; d.LogitScale != 1 {
						kernel.Scale(got, d.LogitScale)
					}
					if c := m.desc.LogitCap; c > 0 {
						kernel.SoftCap(got, c)
					}
					if difference := far(got, widened(expected)); !(difference <= 1e-5) {
						t.Fatalf("text %d, position %d: logits differ by %g of the largest", i, at, difference)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			embedding, err := e.EmbedTokens(ctx, ids)
			if err != nil {
				t.Fatal(err)
			}
			if states, err := e.States(ctx, ids); err != nil || !slices.Equal(embedding, states[19]) {
				t.Errorf("the embedding is not the last state, %v", err)
			}
		})
	}
}

// generatedBERT is the folder of a random BERT with a tokenizer of letters, whose files a test may change.
func generatedBERT(t testing.TB, name string, change map[string]any) Files {
	t.Helper()
	var files map[string][]byte
	for _, g := range generatedEncoders {
		if g.name == name {
			files = contents(t, g.folder(t))
		}
	}
	for _, name := range sortedKeys(change) {
		b, err := json.Marshal(change[name])
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
		if change[name] == nil {
			delete(files, name)
		}
	}
	return memory(files)
}

func contents(t testing.TB, files Files) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range files.Names() {
		b, err := readAll(context.Background(), files, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = b
	}
	return all
}

func TestDecoderThatClassifies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	toy := newToy()
	toy.tensors["score.weight"] = toyTensor{[]int{2, 8}, toy.tensors["token_embd.weight"].values[:16]}
	m, err := Open(ctx, toy.folder(t, 1, map[string]any{
		"architectures": []string{"LlamaForSequenceClassification"}, "id2label": object{"0": "a", "1": "b"},
		"problem_type": "multi_label_classification",
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := encoder(t, m, EncoderOptions{})
	states, err := e.States(ctx, []int{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	scores, err := e.ClassifyTokens(ctx, []int{1, 2, 3})
	if err != nil || len(scores) != 2 {
		t.Fatal(scores, err)
	}
	for i, s := range scores {
		want := 0.0
		for j, v := range toy.tensors["score.weight"].values[i*8 : (i+1)*8] {
			want += float64(v) * float64(states[2][j])
		}
		if math.Abs(float64(s.Logit)-want) > 1e-6 || math.Abs(float64(s.Probability)-1/(1+math.Exp(-want))) > 1e-6 {
			t.Errorf("label %s: %+v, want logit %g", s.Label, s, want)
		}
	}
	if f := m.Facts(); f.Kind != "decoder" || f.Task != TextClassification || !slices.Equal(f.Labels, []string{"a", "b"}) {
		t.Errorf("facts: %+v", f)
	}
	if _, err := session(t, m, SessionOptions{}).Eval(ctx, []int{1}); err == nil {
		t.Error("a classifier predicts a next token")
	}
}

func TestOldNormNames(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	files := contents(t, generatedBERT(t, "bert", nil))
	renamed := maps.Clone(files)
	head := binary.LittleEndian.Uint64(files[weightsName])
	names := strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(string(files[weightsName][8 : 8+head]))
	renamed[weightsName] = slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(names))), []byte(names), files[weightsName][8+head:])
	var all [][]float32
	for _, f := range []map[string][]byte{files, renamed} {
		m, err := Open(ctx, memory(f))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		v, err := encoder(t, m, EncoderOptions{}).EmbedTokens(ctx, []int{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if !slices.Equal(all[0], all[1]) {
		t.Error("other embeddings with the names of old files")
	}
}

// TestRank puts query and document together as the tokenizer says, and cuts the longer one.
func TestRank(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, err := Open(ctx, generatedBERT(t, "xlm-roberta-reranker", map[string]any{tokenizerName: letterFile(object{
		"type": "RobertaProcessing", "cls": []any{"a", 1}, "sep": []any{"z", 26},
	})}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e := encoder(t, m, EncoderOptions{})
	scores, err := e.Rank(ctx, "qu", []string{"doc", "b"})
	if err != nil {
		t.Fatal(err)
	}
	for i, ids := range [][]int{{1, 17, 21, 26, 26, 4, 15, 3, 26}, {1, 17, 21, 26, 26, 2, 26}} {
		want, err := e.ClassifyTokens(ctx, ids)
		if err != nil || scores[i] != want[0].Logit || want[0].Probability <= 0 || want[0].Probability >= 1 {
			t.Errorf("document %d has score %v, want %+v, %v", i, scores[i], want, err)
		}
	}
	if _, err := encoder(t, m, EncoderOptions{MaxTokens: 8}).Rank(ctx, "qu", []string{"doc"}); err == nil {
		t.Error("a pair that is too long was taken")
	}
	cut, err := encoder(t, m, EncoderOptions{MaxTokens: 8, Truncate: true}).Rank(ctx, "qu", []string{"doc"})
	if err != nil {
		t.Fatal(err)
	}
	if want, err := e.ClassifyTokens(ctx, []int{1, 17, 21, 26, 26, 4, 15, 26}); err != nil || cut[0] != want[0].Logit {
		t.Errorf("cut pair has score %v, want %v, %v", cut, want, err)
	}
	short, err := encoder(t, m, EncoderOptions{MaxTokens: 4, Truncate: true}).Embed(ctx, "words")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := e.EmbedTokens(ctx, []int{1, 23, 15, 26}); err != nil || !slices.Equal(short, want) {
		t.Errorf("cut text has another embedding, %v", err)
	}
}

func TestEncoderErrors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, err := Open(ctx, generatedBERT(t, "bert", map[string]any{tokenizerName: letterFile(nil)}))
	if err != nil {
		t.Fatal(err)
	}
	e := encoder(t, m, EncoderOptions{Threads: 1})
	for name, ids := range map[string][]int{
		"no tokens": nil, "too many": make([]int, genContext+1), "negative": {1, -1}, "outside the vocabulary": {genVocab},
	} {
		if _, err := e.EmbedTokens(ctx, ids); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := e.EmbedAll(ctx, []string{"ab", strings.Repeat("a", 100)}); err == nil || !strings.Contains(err.Error(), "text 1") {
		t.Errorf("the second text is too long: %v", err)
	}
	var unsupported *UnsupportedError
	calls := map[string]func() error{
		"classify":      func() error { _, err := e.Classify(ctx, "a"); return err },
		"classify pair": func() error { _, err := e.ClassifyPair(ctx, "a", "b"); return err },
		"rank":          func() error { _, err := e.Rank(ctx, "a", []string{"b"}); return err },
		"tag":           func() error { _, err := e.Tag(ctx, "a"); return err },
		"predict":       func() error { _, err := e.Predict(ctx, []int{1}, 0); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.As(err, &unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Embed(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Embed(ctx, "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	bare, err := Open(ctx, generatedBERT(t, "bert-masked", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	e = encoder(t, bare, EncoderOptions{Threads: 1})
	if _, err := e.Embed(ctx, "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a tokenizer: %v", err)
	}
	if _, err := e.Predict(ctx, []int{1}, 1); err == nil {
		t.Error("predicted beyond the tokens")
	}
}

func TestRefusedEncoders(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	config := func(name string, change object) Files {
		var c object
		if err := json.Unmarshal(contents(t, generatedBERT(t, name, nil))[configName], &c); err != nil {
			t.Fatal(err)
		}
		return generatedBERT(t, name, map[string]any{configName: and(c, change)})
	}
	gguf := func(name string, change func(*toy)) Files {
		for _, g := range generatedEncoders {
			if g.name == name {
				m := g.toy()
				change(m)
				return m.gguf(t)
			}
		}
		return nil
	}
	for _, c := range []struct {
		name        string
		files       Files
		unsupported bool
		says        string
	}{
		{"relative keys", config("bert", object{"position_embedding_type": "relative_key"}), true, "relative_key"},
		{"a decoder", config("bert", object{"is_decoder": true}), true, "decoder"},
		{"positions that end before the first", config("roberta", object{"pad_token_id": 70}), false, "end before"},
		{"a padding id of nonsense", config("roberta", object{"pad_token_id": -9}), false, "first position"},
		{"labels that are not scored", config("roberta", object{"id2label": object{"0": "a", "1": "b"}}), false, "2 labels for 3"},
		{"labels with a gap", config("roberta", object{"id2label": object{"0": "a", "5": "b"}}), false, "label 1"},
		{"a classifier by another pooling", config("modern-bert", object{"classifier_pooling": "sum"}), true, "sum"},
		{"another head", config("modern-bert", object{"classifier_activation": "tanh"}), true, "tanh"},
		{"other norms", config("nomic-bert", object{"prenorm": true}), true, "norms"},
		{"experts", config("nomic-bert", object{"moe_every_n_layers": 2}), true, "experts"},
		{"an activation", gguf("modern-bert", func(m *toy) { m.keys["modern-bert.hidden_activation"] = "spline" }), true, "spline"},
		{"pooling", gguf("bert", func(m *toy) { m.keys["bert.pooling_type"] = uint32(9) }), true, "type 9"},
		{"labels", gguf("roberta", func(m *toy) { m.keys["bert.classifier.output_labels"] = []string{"a"} }), false, "1 labels for 3"},
		{"no positions", gguf("bert", func(m *toy) { delete(m.tensors, "position_embd.weight") }), false, "position_embd"},
		{"no norm of embeddings", gguf("bert", func(m *toy) { delete(m.tensors, "token_embd_norm.weight") }), false, "token_embd_norm"},
		{"no norm after a half", gguf("bert", func(m *toy) { delete(m.tensors, "blk.2.layer_output_norm.weight") }), false, "blk.2.layer_output_norm"},
		{"a later layer without its norm", gguf("modern-bert", func(m *toy) { delete(m.tensors, "blk.1.attn_norm.weight") }), false, "blk.1.attn_norm"},
		{"types of another width", gguf("bert", func(m *toy) { m.tensors["token_types.weight"] = toyTensor{[]int{2, 8}, make([]float32, 16)} }), false, "token_types"},
		{"a head of another width", gguf("roberta", func(m *toy) { m.tensors["cls.output.weight"] = toyTensor{[]int{3, 8}, make([]float32, 24)} }), false, "cls.output"},
		{"a tensor of an encoder in a decoder", gguf("bert", func(m *toy) { m.tensors["output.weight"] = m.tensors["token_embd.weight"] }), true, "output.weight"},
	} {
		m, err := Open(ctx, c.files)
		if err == nil {
			m.Close()
		}
		var unsupported *UnsupportedError
		var bad *MalformedError
		if c.unsupported && !errors.As(err, &unsupported) || !c.unsupported && !errors.As(err, &bad) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if facts, err := Inspect(ctx, c.files); err != nil || facts.Runnable || facts.Unsupported == "" || facts.Kind != "encoder" {
			t.Errorf("%s: Inspect says %v, %v", c.name, facts, err)
		}
	}
}
