// Package lineage tells from weights whether one model descends from another: how far two tensors are apart, how far the type
// of a quantization explains that, which combination of models a merge is, and a sketch of a model's weights by which its
// relatives are found among many.
//
// It is arithmetic on rows of numbers and knows nothing of files, formats, hubs or reports.
package lineage
