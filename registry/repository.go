package registry

import (
	"time"

	"github.com/carat-hub/carat/auth"
)

// Repository is a named set of manifests, tags and blob links.
type Repository struct {
	Name       Name
	Visibility auth.Visibility
	CreatedAt  time.Time
	UpdatedAt  time.Time
}
