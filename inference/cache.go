package inference

import (
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// CacheType is how a session stores the keys and values of its sequence.
type CacheType int

// The cache types. Fewer bits take less memory and make logits less exact.
const (
	// CacheF32 stores them as they were computed.
	CacheF32 CacheType = iota
	// CacheF16 rounds them to half precision, which is half of the memory.
	CacheF16
	// CacheQ8 rounds them to 8 bits for blocks of 32, about a quarter. Where the vectors of a head are not made of whole blocks, they
	// are stored as by CacheF16.
	CacheQ8
)

// caches returns empty caches for the keys and the values of a layer.
func (d *Description) caches(t CacheType) (keys, values *kernel.Cache) {
	one := func(dim int) *kernel.Cache {
		typ := tensor.F32
		switch {
		case t == CacheQ8 && dim%32 == 0:
			typ = tensor.Q8_0
		case t != CacheF32:
			typ = tensor.F16
		}
		c, err := kernel.NewCache(d.KVHeads, dim, typ)
		if err != nil {
			panic(err) // the types above fit
		}
		return c
	}
	return one(d.HeadDim), one(d.ValueDim)
}
