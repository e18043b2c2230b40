package inference

import "github.com/carat-hub/carat/inference/fault"

// UnsupportedError says that a sound model needs something this package does not have; What and Reason say what exactly.
type UnsupportedError = fault.Unsupported

// MalformedError says that a file breaks the rules of its format or exceeds a limit, and where.
type MalformedError = fault.Malformed
