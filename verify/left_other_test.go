//go:build !linux

package verify_test

import "testing"

// openDescriptors is not known here.
func openDescriptors(*testing.T) int { return 0 }

// children are not known here.
func children(*testing.T) []string { return nil }
