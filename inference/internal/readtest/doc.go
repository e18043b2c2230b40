// Package readtest has what the tests of readers of foreign files share: it feeds them damaged files, and counts what they read.
package readtest
