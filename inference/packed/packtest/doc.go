// Package packtest makes matrices in the layouts of package packed, for tests. It writes them as the libraries' code does, number
// by number, and computes what they stand for in float64, without anything of the package that it is to test.
package packtest
