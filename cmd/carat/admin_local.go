package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	orasauth "oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/storage/sqlstore"
)

// localHost is the host under which a client reaches a hub in its own process.
const localHost = "localhost"

// openStore opens the database of a hub: that at a URL, or the one in its folder.
func openStore(ctx context.Context, data, url string) (*sqlstore.Store, io.Closer, error) {
	if url == "" {
		path := filepath.Join(data, "carat.db")
		if _, err := os.Stat(path); err != nil {
			return nil, nil, fmt.Errorf("there is no database: %w", err)
		}
		url = "sqlite:" + path
	}
	db, err := sqlstore.Open(ctx, url, sqlstore.OpenOptions{Unsafe: true})
	if err != nil {
		return nil, nil, err
	}
	return sqlstore.New(db, sqlstore.Options{}), db, nil
}

// localHub returns the API of a hub over its database, with the rights of the
// hub itself, and what to close at the end. No server has to run.
func localHub(ctx context.Context, data, url string) (*client.Hub, io.Closer, error) {
	store, db, err := openStore(ctx, data, url)
	if err != nil {
		return nil, nil, err
	}
	r := registry.New(registry.Options{Store: store})
	api := hub.New(hub.Options{Users: store, Directory: store, Gates: r, Lineages: r, Access: server.NewAccess(r)})
	known := credentials.NewMemoryStore() // the client sends nothing without any
	if err := known.Put(ctx, localHost, orasauth.Credential{Username: "local", Password: "local"}); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	c := client.New(client.Options{Transport: inProcess{server.Local(api)}, Credentials: known})
	return c.Hub(localHost), db, nil
}

// inProcess carries requests to a handler of this process.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &answer{header: http.Header{}, status: http.StatusOK}
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	t.handler.ServeHTTP(w, r)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answer is an http.ResponseWriter in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
