// Package s3test gives tests throw-away S3 buckets.
//
// New hands out a fresh bucket on a server that all tests of a process share and that ends with the process; NewServer
// starts a server of the test's own, which the test may stop, kill and start again. The server is versitygw over a folder,
// pinned in tools/versitygw and built when it is not there.
//
// Worth knowing about that server: it does not sync to disk; a key `x` and a key `x/y` cannot both exist; a range that ends
// before it begins, and a request for several ranges, get the whole object.
//
// The package must not know the product's keys or drivers.
package s3test
