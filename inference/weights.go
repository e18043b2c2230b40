package inference

import "github.com/carat-hub/carat/inference/kernel"

// linear is a matrix with an optional bias.
type linear struct {
	*kernel.Matrix
	bias     []float32
	adapters []lowRank
}

// norm is the weight and bias of a norm; without a weight there is none.
type norm struct{ weight, bias []float32 }

// gated is a feed-forward layer.
type gated struct {
	gate, up, down linear
	// divisor divides what goes into down, element by element, when it is not nil.
	divisor []float32
}

// experts is a feed-forward layer whose tokens go to some experts each.
type experts struct {
	router linear
	// selection is added to the scores to choose experts, not to weigh them.
	selection []float32
	each      []gated
	shared    *gated
	// sharedRouter, when not nil, weighs what shared adds.
	sharedRouter *kernel.Matrix
}

// latent is what makes queries, keys and values of multi-head latent attention.
type latent struct {
	queryDown, queryUp linear
	queryNorm, norm    norm
	down               linear
	key, value         []linear // of each head
}

type layer struct {
	attentionNorm, postAttention, feedForwardNorm, postFeedForward norm
	// afterAttention and afterFeedForward apply to the residual stream.
	afterAttention, afterFeedForward norm
	// queryNorm and keyNorm apply to parts as long as their weights, or to heads with weights of their own.
	queryNorm, keyNorm norm
	q, k, v, o         linear
	latent             *latent
	sinks              []float32
	parallel           bool
	feed               gated
	experts            *experts // in place of feed
}

type weights struct {
	embedding     *kernel.Matrix
	positions     *kernel.Matrix // nil without learned positions
	types         *kernel.Matrix // of the first and second text of a pair; nil without
	relative      []float32      // {heads, distances}: what attention gains by distance; nil without
	embeddingNorm norm
	// embeddingAdapters have a row of down for each token.
	embeddingAdapters []lowRank
	layers            []layer
	norm              norm
	output            linear    // nothing where no next token is predicted
	outputScale       []float32 // of each row of output; nil without
	// At most one head stands on top of the final states.
	classifier, tagger, masked *head
	dense                      []dense // behind the pooling, one after the other
	// adapterRank and adapterRows are the most that an adapter's matrices have.
	adapterRank, adapterRows int
	// decoded is how many bytes of the weights are copies in memory, made or, by a dry bind, to be made.
	decoded int64
}
