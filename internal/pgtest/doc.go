// Package pgtest gives tests throw-away PostgreSQL databases.
//
// New hands out a fresh database on a server that all tests of a process share; the server is the one that
// TEST_DATABASE_URL names, or else one that the package starts from the installed binaries and that ends with the
// process. NewServer starts a server of the test's own, which the test may stop, kill and start again.
//
// The servers sync as in production, since the product refuses to work with one that does not; they sort text by the
// rules of a language (ICU, en-US) wherever a column does not say otherwise, as most production databases do, so that a
// query which relies on byte order without saying so is found.
//
// The package must not know any of the product's tables.
package pgtest
