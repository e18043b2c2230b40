// Package oidctest gives tests an OpenID provider that is not ours: a process with a key of its own, pinned in
// tools/oidcprovider and built when it is not there.
//
// The package must not know what its tokens are used for.
package oidctest
