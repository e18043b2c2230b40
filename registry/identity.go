package registry

import (
	"crypto/sha256"
	"sync"

	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/text"
)

// maxIdentities is how many texts are remembered: there are far fewer
// licences than models.
const maxIdentities = 4096

// texts tells which licences texts are, and remembers it.
type texts struct {
	library *text.Library
	mark    string // names what was confirmed in addition to what the program knows, "" for nothing

	mu   sync.Mutex
	seen map[[sha256.Size]byte]lineage.Text
}

// of tells which licence the text in a version is.
func (t *texts) of(f *Facts) lineage.Text {
	if f.License.Text == "" {
		return lineage.Text{There: f.License.File != ""}
	}
	key := sha256.Sum256([]byte(f.License.Text))
	t.mu.Lock()
	known, ok := t.seen[key]
	t.mu.Unlock()
	if ok {
		return known
	}
	x := lineage.Text{There: true}
	if r, err := t.library.Identify(f.License.Text); err == nil {
		x.Refs, x.Contains, x.Confirmed = r.Refs, r.Contains, r.Confirmed
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxIdentities {
		t.seen = make(map[[sha256.Size]byte]lineage.Text)
	}
	t.seen[key] = x
	return x
}

// programTexts are those that come with the program. They are the same for all
// who ask, so that what is remembered of them is shared.
var programTexts = sync.OnceValue(func() *texts { return &texts{library: text.Known()} })
