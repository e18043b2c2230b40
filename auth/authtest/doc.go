// Package authtest is what tests of other packages need of auth: keys in memory, and a signer with them.
package authtest
