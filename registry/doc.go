// Package registry is the domain of the hub: names and digests, blobs and
// their uploads, manifests, tags, referrers, and the models that manifests
// describe.
//
// It decides what is valid and in which order bytes and rows become durable.
// It knows nothing of HTTP (server/oci renders its errors), of SQL (it
// declares the store interfaces that storage/sqlstore implements) and of
// who may do what (callers bring an auth.Grant). It never parses weights;
// facts read out of model files come from package verify.
package registry
