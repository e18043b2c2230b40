package registry

import (
	"strconv"
	"testing"
)

func TestListingsRememberWhatIsUsed(t *testing.T) {
	t.Parallel()
	var c listings
	key := func(i int) listingKey { return listingKey{name: Name("org/m" + strconv.Itoa(i))} }
	listing := func(files int) *Listing {
		v := Version{Files: make([]File, files)}
		for i := range v.Files {
			v.Files[i].Path = strconv.Itoa(i)
		}
		return newListing(&v)
	}
	used, large := listing(3), listing(maxListed/10)
	if c.get(key(0)) != nil {
		t.Error("something is remembered of nothing")
	}
	c.put(key(0), used)
	for i := 1; i < 50; i++ {
		c.put(key(i), large)
		if c.get(key(0)) != used {
			t.Fatalf("what is used all the time was forgotten after %d others", i)
		}
		if len(c.young)+len(c.old) > 25 {
			t.Fatalf("%d are remembered", len(c.young)+len(c.old))
		}
	}
	if c.get(key(1)) != nil {
		t.Error("what was not used is remembered")
	}
	c.put(key(100), listing(maxListed))
	if c.get(key(100)) != nil {
		t.Error("one that is too large is remembered")
	}
	if f, ok := used.File("2"); !ok || f.Path != "2" {
		t.Errorf("file 2 is %+v", f)
	}
	if _, ok := used.File("3"); ok {
		t.Error("a file that is not there was found")
	}
}
