package inference

import "math"

// maxRelative is the furthest distance that relative positions tell apart.
const maxRelative = 128

// relativeBias reads the scores that attention gains by the distance of key from query, of all layers, as {heads, distances}
// from -maxRelative to maxRelative. The file holds them as {buckets, heads}.
func (b *binder) relativeBias(name string) ([]float32, error) {
	heads := b.d.Heads
	t, err := b.find(name, -1, heads)
	if err != nil {
		return nil, err
	}
	buckets := t.shape[0]
	if buckets < 4 || buckets > 2*maxRelative {
		return nil, b.malformed(name, "%d buckets are not from 4 to %d", buckets, 2*maxRelative)
	}
	const width = 2*maxRelative + 1
	b.decoded += 4 * int64(heads) * width
	if b.dry {
		return nil, nil
	}
	values, err := b.decode(t, buckets*heads)
	if err != nil {
		return nil, err
	}
	table := make([]float32, heads*width)
	for i := range width {
		bucket := relativeBucket(i-maxRelative, buckets)
		for h := range heads {
			table[h*width+i] = values[bucket*heads+h]
		}
	}
	return table, nil
}

// relativeBucket returns the bucket of a distance (Raffel et al. 2020, section 2.1): half of the buckets are for keys after the
// query, and half of each half for the nearest distances one by one, the others for ranges that grow up to maxRelative.
func relativeBucket(distance, buckets int) int {
	half := buckets / 2
	first := 0
	if distance > 0 {
		first = half
	}
	n := max(distance, -distance)
	exact := half / 2
	if n < exact {
		return first + n
	}
	// In float32, as the models were trained: a distance at the edge of a range stays on its side.
	share := float32(math.Log(float64(float32(n)/float32(exact)))) / float32(math.Log(float64(maxRelative)/float64(exact)))
	return first + min(exact+int(share*float32(half-exact)), half-1)
}
