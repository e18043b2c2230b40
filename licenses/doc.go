// Package licenses knows licences: which there are, by what ids they are
// called, and what each permits, demands and forbids as facts.
//
// It is pure knowledge without I/O and knows nothing of models, files or
// callers. What it does not recognise is unknown, never open. It states
// facts; it gives no legal advice.
package licenses
