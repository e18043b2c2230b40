//go:build (!amd64 && !arm64) || purego

package kernel

// vectorEngines returns none: every processor and the build tag purego have the plain engine only.
func vectorEngines() []engine { return nil }
