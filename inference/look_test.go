package inference

import (
	"errors"
	"math"
	"testing"
)

func TestFeedForwardNorms(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	in, out, err := m.FeedForwardNorms(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	feed := m.weights.layers[2].feed
	rows, cols := make([]float64, feed.up.Rows), make([]float64, feed.down.Cols)
	row := make([]float32, max(feed.up.Cols, feed.down.Cols))
	for i := range rows {
		if err := feed.up.Row(i, row[:feed.up.Cols]); err != nil {
			t.Fatal(err)
		}
		for _, v := range row[:feed.up.Cols] {
			rows[i] += float64(v) * float64(v)
		}
	}
	for i := range feed.down.Rows {
		if err := feed.down.Row(i, row[:feed.down.Cols]); err != nil {
			t.Fatal(err)
		}
		for j, v := range row[:feed.down.Cols] {
			cols[j] += float64(v) * float64(v)
		}
	}
	for _, x := range []struct{ got, want []float64 }{{in, rows}, {out, cols}} {
		if len(x.got) != len(x.want) {
			t.Fatalf("%d norms, want %d", len(x.got), len(x.want))
		}
		for i := range x.got {
			if want := math.Sqrt(x.want[i]); math.Abs(x.got[i]-want) > 1e-9*want {
				t.Fatalf("norm %d is %g, want %g", i, x.got[i], want)
			}
		}
	}
	for _, layer := range []int{-1, 4} {
		if _, _, err := m.FeedForwardNorms(t.Context(), layer); err == nil {
			t.Errorf("layer %d has norms", layer)
		}
	}
}

func TestEmbedding(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	v, err := m.Embedding(7)
	if err != nil || len(v) != 256 || v[0] == 0 {
		t.Errorf("%d elements, %v", len(v), err)
	}
	for _, id := range []int{-1, 2048} {
		if _, err := m.Embedding(id); err == nil {
			t.Errorf("token %d has an embedding", id)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Embedding(7); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
