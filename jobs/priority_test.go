package jobs

import (
	"testing"
	"time"
)

func TestAged(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		size   int64
		waited time.Duration
		want   int
	}{
		"small":                   {1 << 20, 0, 2},
		"medium":                  {1 << 30, 0, 3},
		"large":                   {30 << 30, 0, 4},
		"large after ten minutes": {30 << 30, 10 * time.Minute, 3},
		"large after half an hour, before what is small and new": {30 << 30, 30 * time.Minute, 1},
		"for days":      {30 << 30, 48 * time.Hour, 1},
		"from tomorrow": {1 << 20, -time.Hour, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := aged(tt.size, tt.waited); got != tt.want {
				t.Errorf("priority %d, want %d", got, tt.want)
			}
		})
	}
}
