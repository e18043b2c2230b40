package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

func main() {
	clients := flag.String("clients", "carat", "ids of clients, separated by commas; their secret is secret")
	redirect := flag.String("redirect", "http://127.0.0.1/callback", "where the clients are redirected to")
	flag.Parse()
	if err := run(strings.Split(*clients, ","), *redirect, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "oidcprovider:", err)
		os.Exit(1)
	}
}

func run(clients []string, redirect string, subjects []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	for _, id := range clients {
		storage.RegisterClients(storage.WebClient(id, "secret", redirect))
	}
	issuer := "http://" + l.Addr().String()
	handler := exampleop.SetupServer(issuer, storage.NewStorage(people(subjects)), slog.New(slog.DiscardHandler), false)
	fmt.Println(issuer)
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return s.Serve(l)
}

// people are the subjects as the example's store of users.
type people []string

// GetUserByID implements storage.UserStore.
func (p people) GetUserByID(id string) *storage.User {
	for _, s := range p {
		if s == id {
			return &storage.User{ID: s, Username: s, Password: s, FirstName: s, Email: s + "@example.org", EmailVerified: true}
		}
	}
	return nil
}

// GetUserByUsername implements storage.UserStore.
func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }

// ExampleClientID implements storage.UserStore.
func (p people) ExampleClientID() string { return storage.ServiceUserID }
