package main

import (
	"testing"

	"github.com/carat-hub/carat/internal/conformance"
)

// TestConformance runs the official program of the distribution
// specification, for the released version and for the one in the making.
func TestConformance(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		for _, version := range []string{"1.1", "dev"} {
			t.Run(version, func(t *testing.T) {
				conformance.Run(t, url, adminName, testPassword, version)
			})
		}
	})
}
