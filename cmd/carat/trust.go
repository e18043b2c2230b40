package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/carat-hub/carat/provenance"
)

// projectID stands for hubs that do not know their own address.
const projectID = "https://github.com/carat-hub/carat"

// id is the URI by which a hub calls itself in what it signs.
func (c serveConfig) id() string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	return projectID
}

// trust reads what the signatures of others are believed on.
func (c serveConfig) trust() (provenance.Trust, error) {
	if c.TrustedKeys == "" {
		return provenance.Trust{}, nil
	}
	t, err := trustFile(c.TrustedKeys)
	if err != nil {
		return provenance.Trust{}, fmt.Errorf("--trusted-keys %s: %w", c.TrustedKeys, err)
	}
	return t, nil
}

// trustFile reads PEM or a trust file; files that it names lie beside it.
func trustFile(path string) (provenance.Trust, error) {
	p, err := readSmall(path, maxKeyFile)
	if err != nil {
		return provenance.Trust{}, err
	}
	return provenance.ParseTrustFile(p, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return readSmall(name, maxKeyFile)
	})
}

// pemFile reads keys or certificates.
func pemFile(path string) (provenance.Trust, error) {
	p, err := readSmall(path, maxKeyFile)
	if err != nil {
		return provenance.Trust{}, err
	}
	return provenance.ParseTrust(p)
}

// ownKeys returns the keys that the hub signs and signed with.
func (b *backend) ownKeys(ctx context.Context) ([]provenance.Key, error) {
	list, err := b.signer.Keys(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]provenance.Key, len(list))
	for i, k := range list {
		keys[i] = provenance.Key{ID: k.ID, Public: k.Public}
	}
	return keys, nil
}
