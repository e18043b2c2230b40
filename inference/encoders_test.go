package inference

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/internal/reference"
)

const (
	bertEnds  = "token_embd position_embd token_types token_embd_norm+"
	bertLayer = "attn_q+ attn_k+ attn_v+ attn_output+ attn_output_norm+ ffn_up+ ffn_down+ layer_output_norm+"

	bertNamesOf = "token_embd=bert.embeddings.word_embeddings position_embd=bert.embeddings.position_embeddings" +
		" token_types=bert.embeddings.token_type_embeddings token_embd_norm=bert.embeddings.LayerNorm" +
		" attn_q=attention.self.query attn_k=attention.self.key attn_v=attention.self.value attn_output=attention.output.dense" +
		" attn_output_norm=attention.output.LayerNorm ffn_up=intermediate.dense ffn_down=output.dense layer_output_norm=output.LayerNorm" +
		" pooler=bert.pooler.dense classifier=classifier transform=cls.predictions.transform.dense" +
		" transform_norm=cls.predictions.transform.LayerNorm predictions=cls.predictions"
	robertaNamesOf = "token_embd=roberta.embeddings.word_embeddings position_embd=roberta.embeddings.position_embeddings" +
		" token_types=roberta.embeddings.token_type_embeddings token_embd_norm=roberta.embeddings.LayerNorm" +
		" attn_q=attention.self.query attn_k=attention.self.key attn_v=attention.self.value attn_output=attention.output.dense" +
		" attn_output_norm=attention.output.LayerNorm ffn_up=intermediate.dense ffn_down=output.dense layer_output_norm=output.LayerNorm" +
		" cls=classifier.dense cls.output=classifier.out_proj"
	distilbertNamesOf = "token_embd=distilbert.embeddings.word_embeddings position_embd=distilbert.embeddings.position_embeddings" +
		" token_embd_norm=distilbert.embeddings.LayerNorm attn_q=attention.q_lin attn_k=attention.k_lin attn_v=attention.v_lin" +
		" attn_output=attention.out_lin attn_output_norm=sa_layer_norm ffn_up=ffn.lin1 ffn_down=ffn.lin2 layer_output_norm=output_layer_norm" +
		" pooler=pre_classifier classifier=classifier"
	mpnetNamesOf = "token_embd=mpnet.embeddings.word_embeddings position_embd=mpnet.embeddings.position_embeddings" +
		" token_embd_norm=mpnet.embeddings.LayerNorm attn_q=attention.attn.q attn_k=attention.attn.k attn_v=attention.attn.v" +
		" attn_output=attention.attn.o attn_output_norm=attention.LayerNorm ffn_up=intermediate.dense ffn_down=output.dense" +
		" layer_output_norm=output.LayerNorm relative_bias=mpnet.encoder.relative_attention_bias.weight"
	nomicNamesOf = "token_embd=embeddings.word_embeddings token_types=embeddings.token_type_embeddings token_embd_norm=emb_ln" +
		" attn_qkv=attn.Wqkv attn_output=attn.out_proj attn_output_norm=norm1 ffn_gate=mlp.fc12 ffn_up=mlp.fc11 ffn_down=mlp.fc2" +
		" layer_output_norm=norm2"
	modernNamesOf = "token_embd=model.embeddings.tok_embeddings token_embd_norm=model.embeddings.norm output_norm=model.final_norm" +
		" attn_norm=attn_norm attn_qkv=attn.Wqkv attn_output=attn.Wo ffn_norm=mlp_norm ffn_up=mlp.Wi ffn_down=mlp.Wo" +
		" cls=head.dense cls.norm=head.norm cls.output=classifier decoder=decoder"
)

// generatedEncoder is an encoder with random weights.
type generatedEncoder struct {
	generated
	task Task
	// folderOnly says that there is no GGUF form.
	folderOnly bool
}

var encoderShapes = map[string][]int{
	"attn_k": {genQ, genHidden}, "attn_v": {genQ, genHidden}, "attn_qkv": {3 * genQ, genHidden}, "token_types": {2, genHidden},
	"cls": {genHidden, genHidden}, "cls.output": {3, genHidden}, "pooler": {genHidden, genHidden}, "classifier": {3, genHidden},
	"transform": {genHidden, genHidden}, "predictions.bias": {genVocab}, "decoder.bias": {genVocab}, "relative_bias": {32, genHeads},
}

func withShape(name string, shape ...int) map[string][]int {
	all := map[string][]int{name: shape}
	for k, v := range encoderShapes {
		if k != name {
			all[k] = v
		}
	}
	return all
}

var (
	encoderKeys = and(manyHead, object{"tokenizer.ggml.token_type_count": uint32(2), "attention.causal": false, "pooling_type": uint32(1)})
	threeLabels = object{"0": "no", "1": "maybe", "2": "yes"}
)

func bertConfig(kind, class string, more object) object {
	return and(object{
		"model_type": kind, "architectures": []string{class}, "num_key_value_heads": nil, "rms_norm_eps": nil, "layer_norm_eps": 1e-5,
		"hidden_act": "gelu", "type_vocab_size": 2,
	}, more)
}

var generatedEncoders = []generatedEncoder{
	{
		generated: generated{
			name: "bert", arch: "bert", ends: bertEnds, layer: bertLayer, shapes: encoderShapes, keys: encoderKeys, names: bertNamesOf,
			prefix: "bert.encoder.layer.", config: bertConfig("bert", "BertModel", nil), tolerance: 1e-3,
		}, task: FeatureExtraction,
	},
	{
		generated: generated{
			name: "bert-classifier", ends: bertEnds + " pooler+ classifier+", layer: bertLayer, shapes: encoderShapes, names: bertNamesOf,
			prefix: "bert.encoder.layer.", config: bertConfig("bert", "BertForSequenceClassification", object{"id2label": threeLabels}),
		}, task: TextClassification, folderOnly: true,
	},
	{
		generated: generated{
			name: "bert-masked", ends: bertEnds + " transform+ transform_norm+ predictions.bias", layer: bertLayer, shapes: encoderShapes,
			names: bertNamesOf, prefix: "bert.encoder.layer.", config: bertConfig("bert", "BertForMaskedLM", nil),
		}, task: FillMask, folderOnly: true,
	},
	{
		generated: generated{
			name: "roberta", arch: "bert", ends: bertEnds + " cls+ cls.output+", layer: bertLayer, padding: 2,
			shapes: withShape("token_types", 1, genHidden), names: robertaNamesOf, prefix: "roberta.encoder.layer.",
			keys: and(encoderKeys, object{
				"tokenizer.ggml.token_type_count": uint32(1), "pooling_type": uint32(4), "classifier.output_labels": []string{"no", "maybe", "yes"},
			}), tolerance: 1e-3,
			config: bertConfig("roberta", "RobertaForSequenceClassification", object{
				"max_position_embeddings": genContext + 2, "pad_token_id": 1, "type_vocab_size": 1, "id2label": threeLabels,
			}),
		}, task: TextClassification,
	},
	{
		generated: generated{
			name: "xlm-roberta-reranker", arch: "bert", ends: bertEnds + " cls+ cls.output+", layer: bertLayer, padding: 2,
			shapes: withShape("cls.output", 1, genHidden), names: robertaNamesOf, prefix: "roberta.encoder.layer.",
			keys: and(encoderKeys, object{"pooling_type": uint32(4)}), tolerance: 1e-3,
			config: bertConfig("xlm-roberta", "XLMRobertaForSequenceClassification", object{
				"max_position_embeddings": genContext + 2, "pad_token_id": 1, "id2label": object{"0": "LABEL_0"},
			}),
		}, task: TextClassification,
	},
	{
		generated: generated{
			name: "distilbert", arch: "bert", ends: "token_embd position_embd token_embd_norm+", layer: bertLayer, shapes: encoderShapes,
			keys: encoderKeys, names: distilbertNamesOf, prefix: "distilbert.transformer.layer.", config: distilbertConfig("DistilBertModel", nil),
			tolerance: 1e-3,
		}, task: FeatureExtraction,
	},
	{
		generated: generated{
			name: "distilbert-classifier", ends: "token_embd position_embd token_embd_norm+ pooler+ classifier+", layer: bertLayer,
			shapes: encoderShapes, names: distilbertNamesOf, prefix: "distilbert.transformer.layer.",
			config: distilbertConfig("DistilBertForSequenceClassification", object{"id2label": threeLabels}),
		}, task: TextClassification, folderOnly: true,
	},
	{
		generated: generated{
			name: "distilbert-tagger", ends: "token_embd position_embd token_embd_norm+ classifier+", layer: bertLayer,
			shapes: encoderShapes, names: distilbertNamesOf, prefix: "distilbert.transformer.layer.",
			config: distilbertConfig("DistilBertForTokenClassification", object{"id2label": threeLabels}),
		}, task: TokenClassification, folderOnly: true,
	},
	{
		generated: generated{
			name: "mpnet", ends: "token_embd position_embd token_embd_norm+ relative_bias", layer: bertLayer, shapes: encoderShapes,
			names: mpnetNamesOf, prefix: "mpnet.encoder.layer.", padding: 2,
			config: bertConfig("mpnet", "MPNetModel", object{"max_position_embeddings": genContext + 2, "pad_token_id": 1}),
		}, task: FeatureExtraction, folderOnly: true,
	},
	{
		generated: generated{
			name: "nomic-bert", arch: "nomic-bert", ends: "token_embd token_types token_embd_norm+", shapes: encoderShapes,
			layer: "attn_qkv attn_output attn_output_norm+ ffn_gate ffn_up ffn_down layer_output_norm+",
			keys:  and(encoderKeys, object{"rope.freq_base": float32(1000)}), names: nomicNamesOf, prefix: "encoder.layers.",
			config: and(gptSizes, object{
				"model_type": "nomic_bert", "architectures": []string{"NomicBertModel"}, "activation_function": "swiglu",
				"layer_norm_epsilon": 1e-5, "rms_norm_eps": nil, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "type_vocab_size": 2,
			}),
		}, task: FeatureExtraction,
	},
	{
		generated: generated{
			name: "modern-bert", arch: "modern-bert", ends: "token_embd token_embd_norm output_norm cls cls.norm cls.output+",
			layer: "1-attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: withShape("ffn_up", 2*genFeed, genHidden),
			keys: and(encoderKeys, object{
				"rope.freq_base": float32(160000), "attention.sliding_window": uint32(10), "pooling_type": uint32(4),
				"classifier.output_labels": []string{"no", "maybe", "yes"},
			}), names: modernNamesOf, prefix: "model.layers.", tolerance: 1e-3,
			config: modernConfig("ModernBertForSequenceClassification", object{"id2label": threeLabels, "classifier_pooling": "mean"}),
		}, task: TextClassification,
	},
	{
		generated: generated{
			name: "modern-bert-masked", ends: "token_embd token_embd_norm output_norm cls cls.norm decoder.bias",
			layer: "1-attn_norm attn_qkv attn_output ffn_norm ffn_up ffn_down", shapes: withShape("ffn_up", 2*genFeed, genHidden),
			names: modernNamesOf, prefix: "model.layers.", config: modernConfig("ModernBertForMaskedLM", nil),
		}, task: FillMask,
		folderOnly: true,
	},
}

func distilbertConfig(class string, more object) object {
	return and(object{
		"model_type": "distilbert", "architectures": []string{class}, "dim": genHidden, "hidden_dim": genFeed, "n_heads": genHeads,
		"n_layers": genLayers, "activation": "gelu", "hidden_size": nil, "intermediate_size": nil, "num_hidden_layers": nil,
		"num_attention_heads": nil, "num_key_value_heads": nil, "rms_norm_eps": nil, "layer_norm_eps": 1e-5,
	}, more)
}

func modernConfig(class string, more object) object {
	return and(object{
		"model_type": "modernbert", "architectures": []string{class}, "num_key_value_heads": nil, "rms_norm_eps": nil, "norm_eps": 1e-5,
		"hidden_activation": "gelu", "local_attention": 10, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
		"local_rope_theta": 10000.0,
	}, more)
}

// encoded is what an encoder makes of the ids 1 to 20, and of others of which the second half is another text.
type encoded struct{ states, pair, mean, scores []float32 }

func encodeAll(t *testing.T, files Files, task Task, change func(*Encoder)) encoded {
	t.Helper()
	ctx := context.Background()
	m, err := Open(ctx, files)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	facts, err := Inspect(ctx, files)
	if err != nil || !facts.Runnable || facts.Kind != "encoder" || facts.Task != task || facts.EmbeddingSize != genHidden ||
		facts.EmbeddingRows != genVocab || facts.ContextLength != genContext {
		t.Errorf("facts: %+v, %v", facts, err)
	}
	e := encoder(t, m, EncoderOptions{Threads: 2, Pooling: PoolingMean})
	change(e)
	ids, types := make([]int, 20), make([]int, 20)
	for i := range ids {
		ids[i], types[i] = i+1, i/10
	}
	var out encoded
	short := passage{ids: []int{7, 3, 9}}
	err = e.run(ctx, []passage{{ids: ids}, short, {ids: ids, types: types}}, func(i int, states []float32) error {
		switch i {
		case 0:
			out.states = slices.Clone(states)
		case 2:
			out.pair = slices.Clone(states)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.mean, err = e.EmbedTokens(ctx, ids); err != nil {
		t.Fatal(err)
	}
	switch task {
	case TextClassification:
		scores, err := e.ClassifyTokens(ctx, ids)
		if err != nil || len(scores) != len(e.Labels()) || len(scores) != len(facts.Labels) {
			t.Fatalf("%d scores, %v labels, %v", len(scores), e.Labels(), err)
		}
		for i, s := range scores {
			out.scores = append(out.scores, s.Logit)
			if want := []string{"no", "maybe", "yes"}[i]; len(scores) == 3 && (s.Label != want || facts.Labels[i] != want) {
				t.Errorf("label %d is %q", i, s.Label)
			}
		}
	case TokenClassification:
		m.tok, m.tokErr = letters(t), nil
		tagged, err := e.Tag(ctx, "abcdefghijklmnopqrst")
		if err != nil {
			t.Fatal(err)
		}
		for i, tag := range tagged {
			if tag.ID != ids[i] || tag.Piece != string(rune('a'+i)) || tag.Scores[1].Label != "maybe" {
				t.Errorf("token %d: %+v", i, tag)
			}
			for _, s := range tag.Scores {
				out.scores = append(out.scores, s.Logit)
			}
		}
	case FillMask:
		logits, err := e.Predict(ctx, ids, 5, 2)
		if err != nil {
			t.Fatal(err)
		}
		out.scores = logits[1]
	}
	return out
}

func widened(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// unit keeps the difference of small scores from being told by the smallest of numbers.
func unit[T float32 | float64](scores []T) []T { return append(scores[:len(scores):len(scores)], 1) }

// TestGeneratedEncoders compares random models of each family, as a GGUF file and as a folder, with the reference in float64, and
// their means or scores with llama.cpp's, whose GELU is an approximation by a table.
func TestGeneratedEncoders(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/encoders.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded map[string]struct{ Mean, Scores []float64 }
	if err := json.Unmarshal(b, &recorded); err != nil {
		t.Fatal(err)
	}
	for i, g := range generatedEncoders {
		g.seed = uint64(1000 + i)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			toy, ids, types := g.toy(), make([]int, 20), make([]int, 20)
			for i := range ids {
				ids[i] = i + 1
				if kinds := toy.tensors["token_types.weight"].shape; kinds != nil {
					types[i] = min(i/10, kinds[0]-1)
				}
			}
			near := func(what string, got []float32, want []float64, tolerance float64) {
				t.Helper()
				difference := far(got, want)
				t.Logf("%s: %.2g", what, difference)
				if !(difference <= tolerance) {
					t.Errorf("%s differ by %.3g of the largest", what, difference)
				}
			}
			forms := map[string]Files{"folder": g.folder(t)}
			plain := map[string]reference.Files{"folder": referenceFolder(t, forms["folder"]), "gguf": toy.referenceGGUF()}
			if !g.folderOnly {
				forms["gguf"] = toy.gguf(t)
				g.save(t, forms["gguf"])
			}
			for form, files := range forms {
				r, err := reference.Read(plain[form], len(ids))
				if err != nil {
					t.Fatal(err)
				}
				got := encodeAll(t, files, g.task, func(*Encoder) {})
				near(form+": states", got.states, slices.Concat(r.States(ids, nil)...), referenceTolerance)
				near(form+": states of a pair", got.pair, slices.Concat(r.States(ids, types)...), referenceTolerance)
				if g.task != FeatureExtraction {
					logits := r.Logits(ids)
					if g.task == FillMask {
						logits = logits[2:3]
					}
					near(form+": scores", unit(got.scores), unit(slices.Concat(logits...)), referenceTolerance)
				}
				again := encodeAll(t, files, g.task, func(e *Encoder) { e.s.batch = 3 })
				// Products with few vectors add in another order.
				near(form+": states in parts of 3", again.states, widened(got.states), 2e-6)
				near(form+": states of a pair in parts of 3", again.pair, widened(got.pair), 2e-6)
				if form == "gguf" {
					near("llama.cpp: mean", got.mean, recorded[g.name].Mean, max(g.tolerance, 1e-4))
					if g.task != FeatureExtraction {
						near("llama.cpp: scores", unit(got.scores), unit(recorded[g.name].Scores), max(g.tolerance, 1e-4))
					}
				}
			}
		})
	}
}
