// Package lineage checks whether what a model's publisher says of its terms
// agrees with the terms of everything that the model was made from.
//
// A Graph holds works, models and datasets, with what is known of each, and
// edges to what they were made from. Evaluate applies the rules L01 to L18 to
// the root of a graph. It says what the terms of contracts demand; what the law
// makes of a fine-tune or of weights is not settled and not its business.
//
// It is pure and bounded: whatever it does not know counts as unknown and never
// as permitted.
package lineage
