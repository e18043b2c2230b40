package web

import (
	"crypto/sha256"
	"sync"
)

// cachedCards is how many bytes of rendered cards are kept.
const cachedCards = 32 << 20

type cardKey [sha256.Size]byte

// cardCache keeps rendered cards, because rendering a long one costs far more
// than the rest of its page. The oldest are dropped first.
type cardCache struct {
	most int

	mu    sync.Mutex
	cards map[cardKey]rendered
	order []cardKey
	bytes int
}

func newCardCache(most int) *cardCache {
	return &cardCache{most: most, cards: make(map[cardKey]rendered)}
}

// render is renderCard with a memory.
func (c *cardCache) render(body string, links cardLinks) rendered {
	key := cardKey(sha256.Sum256([]byte(links.context + "\x00" + body)))
	c.mu.Lock()
	r, ok := c.cards[key]
	c.mu.Unlock()
	if ok {
		return r
	}
	r = renderCard(body, links)
	size := r.size()
	if size > c.most {
		return r
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.cards[key]; ok {
		return r
	}
	for c.bytes+size > c.most {
		c.bytes -= c.cards[c.order[0]].size()
		delete(c.cards, c.order[0])
		c.order = c.order[1:]
	}
	c.cards[key], c.order, c.bytes = r, append(c.order, key), c.bytes+size
	return r
}

func (r rendered) size() int {
	const overhead = 256
	return len(r.HTML) + len(r.Plain) + len(r.Problem) + overhead
}
