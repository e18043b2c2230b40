package registry

import (
	"crypto/sha256"
	"sync"

	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/text"
)

// TextOf tells which licence the text in a version is.
func TextOf(f *Facts) lineage.Text {
	if f.License.Text == "" {
		return lineage.Text{There: f.License.File != ""}
	}
	return identified.of(f.License.Text)
}

// maxIdentities is how many texts are remembered: there are far fewer
// licences than models.
const maxIdentities = 4096

// identities remembers which licences texts are.
type identities struct {
	mu    sync.Mutex
	texts map[[sha256.Size]byte]lineage.Text
}

var identified identities

func (i *identities) of(s string) lineage.Text {
	key := sha256.Sum256([]byte(s))
	i.mu.Lock()
	t, ok := i.texts[key]
	i.mu.Unlock()
	if ok {
		return t
	}
	t = lineage.Text{There: true}
	if r, err := text.Known().Identify(s); err == nil {
		t.Refs, t.Contains = r.Refs, r.Contains
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.texts == nil || len(i.texts) >= maxIdentities {
		i.texts = make(map[[sha256.Size]byte]lineage.Text)
	}
	i.texts[key] = t
	return t
}
