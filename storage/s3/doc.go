// Package s3 keeps blobs in a bucket of any S3-compatible service.
//
// Under the prefix of the store, objects/<uuid> are the blobs and
// tails/<uuid>/<offset>-<random> are the ends of suspended uploads that are
// too short for a part. The parts of one stream upload concurrently from
// memory whose size is bounded, and committing never copies an object.
//
// A request that S3 carries out after everybody gave it up can leave parts
// that no later Delete finds. A lifecycle rule that aborts incomplete
// multipart uploads removes them; it must be longer than any upload may pause.
//
// It must not know what the bytes are, what digest they have, or who may read
// them. The S3 library is used for transport only: nothing here relies on its
// checksums, its retries or its file handling.
package s3
