// Package window reads a file through a part of it that is kept in memory, so that walking the headers of a remote file takes few
// reads. It knows no format.
package window
