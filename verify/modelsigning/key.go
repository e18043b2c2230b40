package modelsigning

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrKey says that a key or a certificate cannot be read.
var ErrKey = errors.New("not a key of PEM")

// maxBlocks bounds the keys or certificates of a file.
const maxBlocks = 100

// ParsePrivateKey reads a private key on P-256, P-384 or P-521 from PEM, in
// PKCS #8 or as "EC PRIVATE KEY". Errors: ErrKey, ErrUnsupported.
func ParsePrivateKey(p []byte) (*ecdsa.PrivateKey, error) {
	for range maxBlocks {
		var block *pem.Block
		if block, p = pem.Decode(p); block == nil {
			break
		}
		var key any
		var err error
		switch block.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			continue // "EC PARAMETERS" stands before the key
		}
		if err != nil {
			return nil, fmt.Errorf("%w: its content cannot be read", ErrKey) // without bytes of the key
		}
		k, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("%w: a key of type %T", ErrUnsupported, key)
		}
		_, err = hashOf(&k.PublicKey)
		return k, err
	}
	return nil, fmt.Errorf("%w: there is no private key in it", ErrKey)
}

// ParsePublicKeys reads public keys from PEM. Errors: ErrKey, ErrUnsupported.
func ParsePublicKeys(p []byte) ([]*ecdsa.PublicKey, error) {
	var list []*ecdsa.PublicKey
	err := blocks(p, "PUBLIC KEY", func(der []byte) error {
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		k, ok := key.(*ecdsa.PublicKey)
		if !ok {
			return fmt.Errorf("%w: a key of type %T", ErrUnsupported, key)
		}
		list = append(list, k)
		_, err = hashOf(k)
		return err
	})
	return list, err
}

// ParseCertificates reads certificates from PEM. Errors: ErrKey.
func ParseCertificates(p []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	err := blocks(p, "CERTIFICATE", func(der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
		list = append(list, c)
		return nil
	})
	return list, err
}

// blocks calls f with every block of a kind; there must be one.
func blocks(p []byte, kind string, f func(der []byte) error) error {
	n := 0
	for {
		var block *pem.Block
		if block, p = pem.Decode(p); block == nil {
			break
		}
		if block.Type != kind {
			continue
		}
		if n++; n > maxBlocks {
			return fmt.Errorf("%w: there are more than %d", ErrKey, maxBlocks)
		}
		if err := f(block.Bytes); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("%w: there is no %s in it", ErrKey, kind)
	}
	return nil
}
