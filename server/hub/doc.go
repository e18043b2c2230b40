// Package hub serves the hub's own JSON API at /api/v1/: models, their
// versions and their verifications.
//
// Handlers parse the request, ask for a grant, call the services and encode
// what they return. They return errors; package server renders all of them.
// How content is stored, recognised or verified is not known here.
package hub
