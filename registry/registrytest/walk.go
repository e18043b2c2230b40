package registrytest

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var seed = flag.Uint64("seed", 0, "seed of the random walks; 0 takes a new one")

const (
	walks     = 4   // beside each other, each with repositories of its own
	walkSteps = 500 // operations of one walk
)

// testModel does random operations on three repositories and compares every
// answer with a model of what must be visible, and at the end everything.
func testModel(t *testing.T, target Target) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	for i := range walks {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			t.Logf("walk %d of -seed=%d", i, first)
			w := newWalk(t, target, rand.New(rand.NewPCG(first, uint64(i))))
			for range walkSteps {
				w.step(t)
			}
			w.compare(t)
		})
	}
}

// walk is the state of one random walk.
type walk struct {
	model
	rng     *rand.Rand
	target  Target
	callers map[string]*caller
	content [][]byte // that blobs are made of
	blobs   []string // all digests that blobs can have
	bodies  map[string]bool
	tags    []string
	done    []string // operations so far
}

func newWalk(t *testing.T, target Target, rng *rand.Rand) *walk {
	w := &walk{rng: rng, target: target, callers: map[string]*caller{}, bodies: map[string]bool{}, tags: []string{"a", "b", "latest", "v1.0"}}
	base := target.in(t).repo
	for _, suffix := range []string{"-one", "-two", "-three"} {
		w.repos = append(w.repos, newModelRepo(base+suffix))
		w.callers[base+suffix] = target.at(base + suffix)
	}
	w.content = [][]byte{[]byte("{}"), {}}
	for i, n := range []int{1, 100, 5000, 300_000, 1<<20 + 7} { // redirects begin at 1 MiB
		w.content = append(w.content, content(fmt.Sprintf("%s/%d", t.Name(), i), n))
	}
	for _, p := range w.content {
		w.blobs = append(w.blobs, digestOf(p), digest512(p))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last operations:\n%s", strings.Join(w.done[max(0, len(w.done)-20):], "\n"))
		}
	})
	return w
}

func pick[T any](w *walk, list []T) T { return list[w.rng.IntN(len(list))] }

// chance is true once in n times.
func (w *walk) chance(n int) bool { return w.rng.IntN(n) == 0 }

func (w *walk) note(format string, args ...any) {
	w.done = append(w.done, fmt.Sprintf("%d: ", len(w.done))+fmt.Sprintf(format, args...))
}

// reader returns somebody who reads from a repository: sometimes a stranger.
func (w *walk) reader(r *modelRepo) *caller {
	c := w.callers[r.name]
	if w.chance(4) {
		return c.anonymous()
	}
	return c
}

// manifest returns the digest of a manifest that was pushed anywhere, or of none.
func (w *walk) manifest() string {
	known := slices.Sorted(maps.Keys(w.bodies))
	if len(known) == 0 || w.chance(8) {
		return digestOf(fmt.Append(nil, w.rng.IntN(3)))
	}
	return pick(w, known)
}

func (w *walk) reference() string {
	if w.chance(2) {
		return pick(w, w.tags)
	}
	return w.manifest()
}

func (w *walk) artifactType() string {
	return pick(w, []string{"", "application/x.sbom", "application/x.signature"})
}

// step does one operation.
func (w *walk) step(t *testing.T) {
	t.Helper()
	r := pick(w, w.repos)
	c := w.callers[r.name]
	switch n := w.rng.IntN(100); {
	case n < 10:
		w.pushBlob(t, r, c)
	case n < 18:
		w.pushChunked(t, r, c)
	case n < 26:
		w.mount(t, r, c)
	case n < 42:
		w.pushImage(t, r, c)
	case n < 47:
		w.pushIndex(t, r, c)
	case n < 54:
		ref := w.reference()
		w.note("delete manifest %s in %s", ref, r.name)
		c.expect(t, r.deleteManifest(ref), request{method: "DELETE", path: "manifests/" + ref})
	case n < 61:
		d := pick(w, w.blobs)
		w.note("delete blob %s in %s", d, r.name)
		c.expect(t, r.deleteBlob(d), request{method: "DELETE", path: "blobs/" + d})
	case n < 63:
		w.changeVisibility(t, r)
	case n < 75:
		d := pick(w, w.blobs)
		w.note("read blob %s in %s", d, r.name)
		r.checkBlob(t, w.reader(r), d)
	case n < 88:
		ref := w.reference()
		w.note("read manifest %s in %s", ref, r.name)
		r.checkManifest(t, w.reader(r), ref)
	case n < 94:
		w.note("read tags in %s", r.name)
		r.checkTags(t, w.reader(r), 1+w.rng.IntN(5))
	default:
		d, filter := w.manifest(), w.artifactType()
		w.note("read referrers of %s (%s) in %s", d, filter, r.name)
		r.checkReferrers(t, w.reader(r), d, filter)
	}
}

// pushBlob uploads a blob in one request or two, now and then under a wrong digest.
func (w *walk) pushBlob(t *testing.T, r *modelRepo, c *caller) {
	t.Helper()
	i := w.rng.IntN(len(w.blobs))
	d, p := w.blobs[i], w.content[i/2]
	wrong := w.chance(8)
	if wrong {
		d = w.blobs[(i+2)%len(w.blobs)]
	}
	path, method := "blobs/uploads/?digest="+d, "POST"
	if w.chance(2) {
		path, method = c.start(t, "")+"?digest="+d, "PUT"
	}
	w.note("%s blob %s (%d bytes, wrong %t) in %s", method, d, len(p), wrong, r.name)
	r.exists = true // an upload needs it
	if wrong {
		if got := c.expect(t, http.StatusBadRequest, request{method: method, path: path, body: p}); got.code() != "DIGEST_INVALID" {
			t.Fatalf("wrong digest: code %q", got.code())
		}
		return
	}
	c.expect(t, http.StatusCreated, request{method: method, path: path, body: p}).check(t, "Docker-Content-Digest", d)
	r.blobs[d] = p
}

// pushChunked uploads a blob in pieces, with pieces at wrong places between
// them, and sometimes gives it up.
func (w *walk) pushChunked(t *testing.T, r *modelRepo, c *caller) {
	t.Helper()
	i := w.rng.IntN(len(w.blobs))
	d, p := w.blobs[i], w.content[i/2]
	query := ""
	if strings.HasPrefix(d, "sha512") && w.chance(2) {
		query = "?digest-algorithm=sha512"
	}
	w.note("chunks of blob %s (%d bytes) in %s", d, len(p), r.name)
	up := c.start(t, query)
	r.exists = true
	at := 0
	for at < len(p) && !w.chance(3) {
		to := at + 1 + w.rng.IntN(len(p)-at)
		if w.chance(4) {
			wrong := request{method: "PATCH", path: up, body: p[at:to], header: map[string]string{
				"Content-Type": typeLayer, "Content-Range": fmt.Sprintf("%d-%d", at+1, to),
			}}
			c.expect(t, http.StatusRequestedRangeNotSatisfiable, wrong)
		}
		c.patch(t, http.StatusAccepted, up, p, at, to).check(t, "Range", fmt.Sprintf("0-%d", to-1))
		at = to
	}
	c.expect(t, http.StatusNoContent, request{method: "GET", path: up}).check(t, "Range", fmt.Sprintf("0-%d", max(at-1, 0)))
	if w.chance(5) {
		c.expect(t, http.StatusNoContent, request{method: "DELETE", path: up})
	} else {
		c.finish(t, up, d, p[at:])
		r.blobs[d] = p
	}
	c.expect(t, http.StatusNotFound, request{method: "GET", path: up})
}

// mount takes a blob from another repository, or from the same.
func (w *walk) mount(t *testing.T, r *modelRepo, c *caller) {
	t.Helper()
	from, d := pick(w, w.repos), pick(w, w.blobs)
	w.note("mount blob %s from %s in %s", d, from.name, r.name)
	scopes := []string{"repository:" + r.name + ":pull,push"}
	maySee := from.exists && !from.private || from == r
	if from != r && w.chance(2) {
		scopes, maySee = append(scopes, "repository:"+from.name+":pull"), true
	}
	p, there := from.blobs[d]
	status := http.StatusAccepted // an upload, which nobody continues
	if there && maySee {
		status = http.StatusCreated
	}
	c.expect(t, status, request{method: "POST", path: "blobs/uploads/?mount=" + d + "&from=" + from.name, scopes: scopes})
	r.exists = true
	if status == http.StatusCreated {
		r.blobs[d] = p
	}
}

// pushImage pushes an image manifest whose blobs may or may not be there.
func (w *walk) pushImage(t *testing.T, r *modelRepo, c *caller) {
	t.Helper()
	m := modelManifest{mediaType: typeManifest, artifactType: w.artifactType()}
	blob := func(mediaType string) object {
		i := w.rng.IntN(len(w.blobs))
		if here := slices.Sorted(maps.Keys(r.blobs)); len(here) > 0 && !w.chance(8) {
			i = slices.Index(w.blobs, pick(w, here))
		}
		m.blobs = append(m.blobs, w.blobs[i])
		return object{"mediaType": mediaType, "digest": w.blobs[i], "size": len(w.content[i/2])}
	}
	layers := []any{}
	for range w.rng.IntN(3) {
		layers = append(layers, blob(typeLayer))
	}
	doc := object{"schemaVersion": 2, "mediaType": typeManifest, "config": blob("application/x.config"), "layers": layers}
	if w.chance(2) {
		m.annotations = map[string]string{"n": fmt.Sprint(w.rng.IntN(3))}
		doc["annotations"] = m.annotations
	}
	if m.artifactType != "" {
		doc["artifactType"] = m.artifactType
	} else {
		m.artifactType = "application/x.config"
	}
	if w.chance(2) {
		m.subject = w.manifest()
		doc["subject"] = object{"mediaType": typeManifest, "digest": m.subject, "size": 2}
	}
	w.putManifest(t, r, c, doc, m)
}

// pushIndex pushes an index of manifests that may or may not be there.
func (w *walk) pushIndex(t *testing.T, r *modelRepo, c *caller) {
	t.Helper()
	m := modelManifest{mediaType: typeIndex}
	list := []any{}
	for range w.rng.IntN(3) {
		d := w.manifest()
		if here := slices.Sorted(maps.Keys(r.manifests)); len(here) > 0 && !w.chance(8) {
			d = pick(w, here)
		}
		m.children = append(m.children, d)
		list = append(list, object{"mediaType": typeManifest, "digest": d, "size": 2})
	}
	w.putManifest(t, r, c, object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": list}, m)
}

// putManifest pushes a manifest under a tag or its digest, with further tags.
func (w *walk) putManifest(t *testing.T, r *modelRepo, c *caller, doc object, m modelManifest) {
	t.Helper()
	m.body = encode(doc, nil)
	digest := digestOf(m.body)
	if w.chance(6) {
		digest = digest512(m.body)
	}
	reference, tags := digest, []string{}
	switch w.rng.IntN(3) {
	case 0:
		digest = digestOf(m.body)
		reference = pick(w, w.tags)
		tags = append(tags, reference)
	case 1:
		tags = append(tags, pick(w, w.tags), pick(w, w.tags))
	}
	path := "manifests/" + reference
	if reference == digest {
		for i, tag := range tags {
			path += string("?&"[min(i, 1)]) + "tag=" + tag
		}
	}
	w.note("put %s (digest %s) of %v%v in %s", path, digest, m.blobs, m.children, r.name)
	send := request{method: "PUT", path: path, body: m.body, header: map[string]string{"Content-Type": m.mediaType}}
	if missing := r.put(digest, m, tags...); missing != "" {
		w.note("%s is not there", missing)
		if got := c.expect(t, http.StatusNotFound, send); got.code() != "MANIFEST_BLOB_UNKNOWN" {
			t.Fatalf("missing reference: code %q", got.code())
		}
		return
	}
	got := c.expect(t, http.StatusCreated, send)
	got.check(t, "Docker-Content-Digest", digest)
	got.check(t, "OCI-Subject", m.subject)
	w.bodies[digest] = true
}

func (w *walk) changeVisibility(t *testing.T, r *modelRepo) {
	t.Helper()
	if !r.exists {
		return
	}
	r.private = !r.private
	v := "public"
	if r.private {
		v = "private"
	}
	w.note("make %s %s", r.name, v)
	w.target.SetVisibility(t, r.name, v)
}

// compare looks at everything that there could be.
func (w *walk) compare(t *testing.T) {
	t.Helper()
	w.note("compare everything")
	for _, r := range w.repos {
		c := w.callers[r.name]
		for _, who := range []*caller{c, c.anonymous()} {
			r.checkTags(t, who, 1000)
			for _, d := range w.blobs {
				r.checkBlob(t, who, d)
			}
		}
		for _, tag := range w.tags {
			r.checkManifest(t, c, tag)
		}
		for _, d := range slices.Sorted(maps.Keys(w.bodies)) {
			r.checkManifest(t, c, d)
			r.checkReferrers(t, c, d, "")
		}
	}
}
