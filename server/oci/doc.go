// Package oci serves the OCI distribution specification v1.1 at /v2/, one
// file for each resource.
//
// Handlers parse the request, ask for a grant, call the registry and write
// the answer. They return errors; package server renders all of them. What is
// valid and durable is the registry's business.
package oci
