// Package toolbin finds the third-party programs that tests run, and builds them when they are not there.
//
// Each program is pinned by a module under tools/ that has its name. The binaries lie in bin/tools/, where `make tools`
// puts them as well: both build with the same command and both build again only when the pin is newer than the binary.
//
// The package must not know what the programs do.
package toolbin
