// Package strictjson refuses JSON that two parsers could read differently,
// before it is decoded: signed documents and manifests mean the same to
// everybody or are no documents.
package strictjson
