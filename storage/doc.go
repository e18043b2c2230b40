// Package storage defines where the bytes of blobs live: objects under
// opaque keys, written once as a stream and read by range.
//
// It knows nothing of digests, repositories or manifests. Which digest an
// object holds, and whether anybody may see it, is the registry's business
// and lives in SQL; a key is made anew for every upload, so a late or retried
// delete can never hit a re-upload of the same content.
//
// The drivers are storage/fs and storage/s3; both pass storage/storagetest.
// What only one of them can do (a presigned URL, a file to send or map) is a
// separate interface found by type assertion.
package storage
