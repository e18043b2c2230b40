// Package fs keeps blobs as files of one folder.
//
// Committed objects are read-only files objects/<last two hex digits>/<uuid>,
// unfinished uploads are files uploads/<uuid> on the same file system, so
// that committing is fsync, rename and fsync of both folders. One process at
// a time owns the folder; nothing in a key can lead outside of it.
//
// It must not know what the bytes are, what digest they have, or who may read
// them.
package fs
