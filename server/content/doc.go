// Package content serves the bytes of blobs, for every API that has some:
// ranges, redirects to the storage, and files that the kernel sends by itself.
package content
