// Package registrytest is the behaviour of the registry over HTTP as a test
// library: the distribution specification, its error codes and statuses, and
// what the specification leaves to us. Every pairing of database and blob
// storage passes it.
//
// It speaks plain HTTP and knows nothing of the packages behind the server.
package registrytest
