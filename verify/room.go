package verify

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// overhead is what a verification may take beside the files of the model and
// its bases, in bytes: keys and values, activations, the tokenizer, decoded
// panels of weights. It is the limit of its child, not what most need.
const overhead = verifyMemory

// ErrNoRoom says that the time of a verification ended while it waited for
// memory. It had not begun.
var ErrNoRoom = errors.New("there was no room in memory")

// room is memory that verifications share. Who waits for much is not
// overtaken by those who come later and want little.
type room struct {
	limit int64 // bytes; 0 for none
	taken *semaphore.Weighted
}

func newRoom(limit int64) *room {
	return &room{limit: max(limit, 0), taken: semaphore.NewWeighted(max(limit, 0))}
}

// enter waits until a model with files of so many bytes fits beside those
// that run. One that never would gets all the room: its weights are mapped
// from their files, so it runs slowly, but it runs. Errors: ErrNoRoom with the
// cause of ctx.
func (r *room) enter(ctx context.Context, size int64) (leave func(), err error) {
	if r.limit == 0 {
		return func() {}, nil
	}
	need := min(r.limit, max(size, 0)+overhead)
	if max(size, 0) > r.limit {
		need = r.limit
	}
	if err := r.taken.Acquire(ctx, need); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRoom, context.Cause(ctx))
	}
	return func() { r.taken.Release(need) }, nil
}
