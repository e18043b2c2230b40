// Package child runs server processes for tests and makes sure that none of them outlives the test process.
//
// A test process can end in ways that run no cleanup: a panic, os.Exit, a timeout, SIGKILL. Every child is therefore
// watched by a small shell that holds the read end of a pipe from the test process: when that pipe closes, for whatever
// reason, the shell ends the child and removes its scratch
// folder.
//
// The package must not know what the servers are or speak: pgtest and s3test do, and the end-to-end tests run the
// product's own binary with it.
package child
