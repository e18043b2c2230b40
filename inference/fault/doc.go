// Package fault holds the two errors that every reader of the inference core returns: a file that breaks its format,
// and a file that is well formed but needs something the core does not have. Callers tell them apart with errors.As,
// because the first means "damaged or hostile" and the second only "not runnable here".
//
// It knows nothing of any format.
package fault
