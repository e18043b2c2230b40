package inference

import (
	"fmt"
	"slices"
	"strings"

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

var cacheTypes = []string{CacheF32: "f32", CacheF16: "f16", CacheQ8: "q8_0"}

// String returns the name that ParseCacheType knows.
func (t CacheType) String() string {
	if t < 0 || int(t) >= len(cacheTypes) {
		return fmt.Sprintf("CacheType(%d)", int(t))
	}
	return cacheTypes[t]
}

// ParseCacheType returns the cache type called f32, f16 or q8_0, and an error for any other name.
func ParseCacheType(name string) (CacheType, error) {
	i := slices.Index(cacheTypes, name)
	if i < 0 {
		return 0, fmt.Errorf("cache type %q is none of %s", name, strings.Join(cacheTypes, ", "))
	}
	return CacheType(i), nil
}

// caches returns empty caches for the keys and the values of a layer.
func (d *Description) caches(layer int, t CacheType) (keys, values *kernel.Cache) {
	_, shared := d.heads(layer)
	one := func(dim int) *kernel.Cache {
		typ := tensor.F32
		switch {
		case t == CacheQ8 && dim%32 == 0:
			typ = tensor.Q8_0
		case t != CacheF32:
			typ = tensor.F16
		}
		c, err := kernel.NewCache(shared, dim, typ)
		if err != nil {
			panic(err) // the types above fit
		}
		return c
	}
	return one(d.HeadDim), one(d.ValueDim)
}
