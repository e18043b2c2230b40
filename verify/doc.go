// Package verify loads and runs models to prove that they are what they say:
// the checks, the report, and the facts that a version's files tell.
//
// The same code serves the hub's worker and `carat verify` on a folder. The
// maths is package inference's; how a job reaches a worker is package jobs'.
// Every error of the verifier itself means "not verified", never "passed".
package verify
