package lineage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
)

// FingerprintVersion is the version of the way fingerprints are made. Only those of one version are comparable.
const FingerprintVersion = 1

// The sketch of a matrix: so many of its rows, each projected on so many vectors of random signs. A projection gives one bit, its
// sign, as in SimHash (Charikar 2002): two vectors at an angle of t differ in it with probability t/pi.
const (
	sketchRows  = 16
	projections = 4
	sketchBytes = sketchRows * projections / 8
	// sketchLayers is how many layers are sketched, spread evenly over all.
	sketchLayers = 6
	// maxSketches bounds a fingerprint; the largest layers have eleven matrices that count.
	maxSketches = 96
)

// Fingerprint is a sketch of the matrices in a few layers of a model. It changes little when weights are rounded, trained further,
// named otherwise or divided among files, and not at all with the vocabulary.
type Fingerprint struct {
	Version int `json:"version"`
	// Signature stands for the number of layers and the shapes of the matrices; fingerprints with another one are of models that
	// differ in them.
	Signature string `json:"signature"`
	Bits      []byte `json:"bits"` // sketchBytes of each matrix
}

// Valid reports whether f is as a Sketch makes it. Everything else, as may come from outside, is refused.
func (f Fingerprint) Valid() bool {
	return f.Version == FingerprintVersion && len(f.Bits) >= sketchBytes && len(f.Bits) <= maxSketches*sketchBytes && len(f.Bits)%sketchBytes == 0 &&
		len(f.Signature) > 0 && len(f.Signature) <= 64 && strings.Trim(f.Signature, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Akin is the similarity from which two models surely share weights, and Stranger the one below which they surely do not: of
// models that were trained apart it is that of chance, below 0.25 for the smallest fingerprints. On the example model 4-bit
// quantizations have 0.997, a fine-tune that moves weights by a twentieth 0.999, and one that moves them by half 0.91.
const (
	Akin     = 0.5
	Stranger = 0.25
)

// Similarity estimates the cosine between the matrices of two models from their fingerprints: 1 for the same, about 0 for
// strangers and for fingerprints that are not comparable.
func Similarity(a, b Fingerprint) float64 {
	if !a.Valid() || !b.Valid() || a.Signature != b.Signature || len(a.Bits) != len(b.Bits) {
		return 0
	}
	different := 0
	for i, x := range a.Bits {
		different += bits.OnesCount8(x ^ b.Bits[i])
	}
	return max(math.Cos(math.Pi*float64(different)/float64(8*len(a.Bits))), 0)
}

// sketched are the roles within a layer that count.
var sketched = []string{
	"q", "k", "v", "o", "gate", "up", "down", "query_up", "latent_down", "experts.0.gate", "experts.0.up", "experts.0.down",
}

// SketchedLayers returns the numbers of the layers that a fingerprint is made of.
func SketchedLayers(layers int) []int {
	var list []int
	for i := range min(layers, sketchLayers) {
		list = append(list, i*(layers-1)/max(min(layers, sketchLayers)-1, 1))
	}
	return list
}

// Sketch makes a fingerprint of weights that come in any order.
type Sketch struct {
	layers int
	parts  map[string][]byte
	shapes map[string][2]int
}

// NewSketch begins the fingerprint of a model of so many layers, 0 for one whose weights have names for roles.
func NewSketch(layers int) *Sketch {
	return &Sketch{layers: layers, parts: map[string][]byte{}, shapes: map[string][2]int{}}
}

// Wants says whether a weight counts. Of models whose weights have names, the first matrices count that are large enough and have
// no row for each token.
func (s *Sketch) Wants(t Tensor) bool {
	if t.Type == "" || t.Rows < sketchRows || t.Cols < sketchRows || len(s.parts) >= maxSketches {
		return false
	}
	if s.layers == 0 {
		return !t.ofVocabulary()
	}
	parts := strings.SplitN(t.Role, ".", 3)
	return len(parts) == 3 && parts[0] == "layers" && slices.Contains(sketched, parts[2])
}

// Add adds a weight that counts.
func (s *Sketch) Add(t Tensor, w Weight) error {
	row := make([]float32, t.Cols)
	out := make([]byte, sketchBytes)
	for n := range sketchRows {
		// One row of each of as many parts, so that rows of all heads take part.
		i := int(int64(n) * int64(t.Rows) / sketchRows)
		if err := w.Row(i, row); err != nil {
			return fmt.Errorf("sketch %s: %w", t.Role, err)
		}
		signs := newSigns(t.Role, i)
		for p := range projections {
			if signs.project(row) > 0 {
				bit := n*projections + p
				out[bit/8] |= 1 << (bit % 8)
			}
		}
	}
	s.parts[t.Role] = out
	s.shapes[t.Role] = [2]int{t.Rows, t.Cols}
	return nil
}

// Fingerprint returns what was collected. It fails when no weight counted.
func (s *Sketch) Fingerprint() (Fingerprint, error) {
	if len(s.parts) == 0 {
		return Fingerprint{}, errors.New("there is no matrix to take a fingerprint of")
	}
	f := Fingerprint{Version: FingerprintVersion}
	shapes := sha256.New()
	var roles []string
	for r := range s.parts {
		roles = append(roles, r)
	}
	slices.Sort(roles)
	for _, r := range roles {
		fmt.Fprintf(shapes, "%s %d %d\n", r, s.shapes[r][0], s.shapes[r][1])
		f.Bits = append(f.Bits, s.parts[r]...)
	}
	f.Signature = fmt.Sprintf("l%d-%s", s.layers, hex.EncodeToString(shapes.Sum(nil)[:8]))
	return f, nil
}

// signs are random signs that depend on a role and a row alone.
type signs struct{ r *rand.ChaCha8 }

func newSigns(role string, row int) signs {
	var seed [32]byte
	h := fnv.New128a()
	_, _ = io.WriteString(h, role) // never fails
	copy(seed[:], h.Sum(nil))
	binary.LittleEndian.PutUint64(seed[16:], uint64(row))
	return signs{rand.NewChaCha8(seed)}
}

// project returns the sum of a row's elements, each with the next sign.
func (s signs) project(row []float32) float64 {
	var sum float64
	for len(row) > 0 {
		mask := s.r.Uint64()
		n := min(64, len(row))
		for _, v := range row[:n] {
			if mask&1 == 0 {
				sum += float64(v)
			} else {
				sum -= float64(v)
			}
			mask >>= 1
		}
		row = row[n:]
	}
	return sum
}
