// Package verifytest makes models for the tests of verification: good ones of several architectures and formats, healthy variants
// of them as people publish them, and damaged ones as they come about by accident or on purpose.
//
// Every model starts from trained weights, since only those have anything to lose. A damage or variant is a value with a name; what
// it does follows from a seed alone, so that a case that was missed can be made again. The package knows the layout of weight files
// and nothing of the checks.
package verifytest
