// Package server is the HTTP edge: one http.Handler with everything that all
// routes have in common. It checks paths before routing, names and logs every
// request, finds out who asks, renders every error, keeps stalled connections
// from holding on, hands out access tokens, and answers for its own health.
//
// The routes themselves come from the packages below it (oci, hub, …) and
// from web, as Routes that cmd/carat passes to New; server imports none of
// them. A handler gets the caller and decisions from Access, and returns its
// errors as they are: Server alone turns them into answers.
//
// It must not know what a blob, a manifest or a page is.
package server
