// Package conformance runs the official OCI distribution-spec conformance program, pinned in tools/conformance, against a
// registry that is already running, and reports what it found as a test's failures.
//
// The program is taken as it is: every group of tests that it knows is switched on, and a run in which too few tests took
// part is a failure too, so that a registry which answers "unsupported" cannot pass.
//
// The package must not know how the registry was started or what it stores in.
package conformance
