package check

import (
	"errors"
	"fmt"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
)

// cannotRunError says that a model cannot be run here, which is no fault of it.
type cannotRunError struct{ reason string }

func (e *cannotRunError) Error() string { return e.reason }

// obstacle returns what an error says of a model that cannot be run here, and
// nil for any other error.
func obstacle(err error) error {
	var unsupported *fault.Unsupported
	if errors.As(err, &unsupported) {
		return unsupported
	}
	var cannot *cannotRunError
	if errors.As(err, &cannot) {
		return cannot
	}
	return nil
}

// obstacleSentence says in one sentence why a model cannot be run here. The
// results of the checks have the details.
func obstacleSentence(err error, facts *inference.Facts) string {
	var u *fault.Unsupported
	if !errors.As(err, &u) {
		return "the model cannot be run here: " + err.Error()
	}
	arch := ""
	if facts != nil {
		arch = facts.Architecture
	}
	switch {
	case u.What == "model folder":
		return "the model cannot be run here: " + u.Reason
	case u.What == "tokenizer":
		return "the tokenizer cannot be used here yet: " + u.Reason
	case u.What == "tensor type" && arch != "":
		return fmt.Sprintf("tensors of type %s cannot be read here yet (architecture %q)", u.Reason, arch)
	case u.What != "architecture" || arch == "":
		return u.Error()
	case inference.Knows(arch):
		return fmt.Sprintf("this model of architecture %q cannot be run here yet: %s", arch, u.Reason)
	}
	return fmt.Sprintf("the architecture %q cannot be run here yet", arch)
}
