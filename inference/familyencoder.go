package inference

import "github.com/carat-hub/carat/inference/kernel"

// encoders are the families whose attention goes both ways. In GGUF files BERT, RoBERTa, XLM-R and DistilBERT are one
// architecture, whose positions begin at 0.
func encoders() map[string]family {
	bert := family{
		encoder: true, gguf: ggufNames(bertGGUFNames), folder: bertNames("bert."), layerNorm: true, ungated: true,
		activation: kernel.GELU, unrotated: true, epsilon: 1e-12,
	}
	with := func(f family, change func(*family)) family {
		change(&f)
		return f
	}
	roberta := with(bert, func(f *family) { f.gguf, f.folder, f.afterPadding = nil, robertaNames(), true })
	return map[string]family{
		"bert":        bert,
		"roberta":     roberta,
		"xlm-roberta": roberta,
		"camembert":   roberta,
		"distilbert":  with(bert, func(f *family) { f.gguf, f.folder = nil, distilbertNames() }),
		"mpnet":       with(bert, func(f *family) { f.gguf, f.folder, f.afterPadding = nil, mpnetNames(), true }),
		"nomic-bert": with(bert, func(f *family) {
			f.folder, f.unrotated, f.ungated, f.activation = nomicNames(), false, false, kernel.SiLU
		}),
		"modern-bert": {
			encoder: true, gguf: ggufNames(modernGGUFNames), folder: modernNames(), layerNorm: true, activation: kernel.GELU,
			epsilon: 1e-5, unnormedStart: true, window: 3, windowedAfter: true, localRope: ownRope,
		},
	}
}

// bertGGUFNames are those of blocks that normalise the residual stream after each half.
func bertGGUFNames(n *tensorNames) {
	n.norm, n.output, n.attentionNorm, n.feedForwardNorm = "", "", "", ""
	n.types, n.afterAttention, n.afterFeedForward = "token_types", "blk.%d.attn_output_norm", "blk.%d.layer_output_norm"
}

func modernGGUFNames(n *tensorNames) {
	n.output, n.classifier.activation = "", kernel.GELU
}

// bertNames are the names of models that begin them with prefix, where they have heads.
func bertNames(prefix string) *tensorNames {
	embeddings, layer := prefix+"embeddings.", prefix+"encoder.layer.%d."
	return &tensorNames{
		prefix: prefix, embedding: embeddings + "word_embeddings", positions: embeddings + "position_embeddings",
		types: embeddings + "token_type_embeddings", embeddingNorm: embeddings + "LayerNorm",
		q: layer + "attention.self.query", k: layer + "attention.self.key", v: layer + "attention.self.value",
		o: layer + "attention.output.dense", afterAttention: layer + "attention.output.LayerNorm",
		up: layer + "intermediate.dense", down: layer + "output.dense", afterFeedForward: layer + "output.LayerNorm",
		classifier: headNames{dense: prefix + "pooler.dense", activation: kernel.Tanh, out: "classifier"},
		tagger:     headNames{out: "classifier"},
		masked: headNames{
			dense: "cls.predictions.transform.dense", hiddenActivation: true, norm: "cls.predictions.transform.LayerNorm",
			out: "cls.predictions.decoder", bias: "cls.predictions.bias",
		},
		ignored: []string{
			prefix + "pooler.dense.weight", prefix + "pooler.dense.bias", "cls.seq_relationship.weight", "cls.seq_relationship.bias",
		},
	}
}

func robertaNames() *tensorNames {
	n := bertNames("roberta.")
	n.classifier = headNames{dense: "classifier.dense", activation: kernel.Tanh, out: "classifier.out_proj"}
	n.masked = headNames{dense: "lm_head.dense", activation: kernel.GELU, norm: "lm_head.layer_norm", out: "lm_head.decoder", bias: "lm_head.bias"}
	return n
}

func mpnetNames() *tensorNames {
	n := robertaNames()
	const layer = "mpnet.encoder.layer.%d."
	m := bertNames("mpnet.")
	m.classifier, m.masked, m.types = n.classifier, n.masked, ""
	m.q, m.k, m.v, m.o = layer+"attention.attn.q", layer+"attention.attn.k", layer+"attention.attn.v", layer+"attention.attn.o"
	m.afterAttention, m.relativeBias = layer+"attention.LayerNorm", "mpnet.encoder.relative_attention_bias"
	return m
}

func distilbertNames() *tensorNames {
	const layer = "distilbert.transformer.layer.%d."
	n := bertNames("distilbert.")
	n.types = ""
	n.q, n.k, n.v, n.o = layer+"attention.q_lin", layer+"attention.k_lin", layer+"attention.v_lin", layer+"attention.out_lin"
	n.afterAttention, n.afterFeedForward = layer+"sa_layer_norm", layer+"output_layer_norm"
	n.up, n.down = layer+"ffn.lin1", layer+"ffn.lin2"
	n.classifier = headNames{dense: "pre_classifier", activation: kernel.ReLU, out: "classifier"}
	n.masked = headNames{dense: "vocab_transform", hiddenActivation: true, norm: "vocab_layer_norm", out: "vocab_projector"}
	return n
}

func nomicNames() *tensorNames {
	const layer = "bert.encoder.layers.%d."
	n := bertNames("bert.")
	n.embeddingNorm, n.positions = "bert.emb_ln", ""
	n.q, n.k, n.v, n.qkv, n.o = "", "", "", layer+"attn.Wqkv", layer+"attn.out_proj"
	n.afterAttention, n.afterFeedForward = layer+"norm1", layer+"norm2"
	n.gate, n.up, n.down = layer+"mlp.fc12", layer+"mlp.fc11", layer+"mlp.fc2"
	n.masked.norm = "cls.predictions.transform.layer_norm"
	return n
}

func modernNames() *tensorNames {
	const layer = "model.layers.%d."
	head := headNames{dense: "head.dense", activation: kernel.GELU, norm: "head.norm", out: "classifier"}
	masked := head
	masked.out = "decoder"
	return &tensorNames{
		prefix: "model.", embedding: "model.embeddings.tok_embeddings", embeddingNorm: "model.embeddings.norm", norm: "model.final_norm",
		attentionNorm: layer + "attn_norm", qkv: layer + "attn.Wqkv", o: layer + "attn.Wo",
		feedForwardNorm: layer + "mlp_norm", gateUp: layer + "mlp.Wi", down: layer + "mlp.Wo",
		classifier: head, tagger: head, masked: masked,
	}
}
