package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/registry"
)

// StatementSigner signs in-toto statements with the key of a hub.
type StatementSigner interface {
	// SignStatement returns the statement in a DSSE envelope, and the id of
	// the key. The same statement gives the same bytes as long as the key stays.
	SignStatement(ctx context.Context, statement []byte) (envelope []byte, keyID string, err error)
}

// Assessor tells in what way versions are open; *registry.Registry is one.
type Assessor interface {
	Assess(ctx context.Context, p auth.Principal, v *registry.Version) (*registry.Assessment, error)
}

// RecorderOptions are what a Recorder is made of; all but Now are required.
type RecorderOptions struct {
	Versions  Versions
	Publisher Publisher
	Signer    StatementSigner
	Assessor  Assessor
	Store     Store

	ID      string           // of the hub, a URI
	Version string           // of the program
	Now     func() time.Time // default: time.Now
}

// Recorder signs what a hub itself knows of a version, and publishes it as a
// referrer: from where somebody said that it comes, and what was found of it.
type Recorder struct{ o RecorderOptions }

// NewRecorder returns a recorder.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Recorder{o}
}

// Upstream is the place from which a version was taken, as somebody declares it.
type Upstream struct {
	URI      string `json:"uri"`
	Revision string `json:"revision,omitempty"` // commit, tag or digest there
}

// maxSource bounds the address and the revision, in bytes.
const maxSource = 2048

var commit = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}$`) })

// Check refuses what is no address of a source.
func (s Upstream) Check() error {
	u, err := url.Parse(s.URI)
	schemes := []string{"https", "http", "oci", "pkg", "git+https", "s3"}
	switch {
	case err != nil || len(s.URI) > maxSource || !slices.Contains(schemes, u.Scheme) || u.Host == "" && u.Scheme != "pkg":
		return fmt.Errorf("the source must be an address that begins with one of %s", strings.Join(schemes, ", "))
	case u.User != nil:
		return fmt.Errorf("the source must be without credentials")
	case len(s.Revision) > 256 || strings.ContainsFunc(s.Revision, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }):
		return fmt.Errorf("the revision of the source is not one word of at most 256 bytes")
	}
	return nil
}

// imported are the external parameters of an import.
type imported struct {
	Source     Upstream `json:"source"`
	DeclaredBy string   `json:"declaredBy"` // user of this hub; nobody compared the bytes with the source
}

// Import signs that somebody says from where a version comes. The hub vouches
// for who said so, when, and of which bytes, and for nothing else. It returns
// the digest of the referrer. Errors: registry.CodeManifestUnknown.
func (r *Recorder) Import(ctx context.Context, v *registry.Version, by string, s Upstream) (registry.Digest, error) {
	if err := s.Check(); err != nil {
		return registry.Digest{}, err
	}
	now := r.o.Now().UTC().Truncate(time.Second)
	dependency := provenance.Resource{URI: s.URI, Annotations: map[string]json.RawMessage{
		provenance.AnnotationDeclared: json.RawMessage(`"true"`), provenance.AnnotationRelation: json.RawMessage(`"copy"`),
	}}
	if commit().MatchString(s.Revision) {
		dependency.Digest = map[string]string{"gitCommit": s.Revision}
	}
	parameters, err := json.Marshal(imported{s, by})
	if err != nil {
		return registry.Digest{}, fmt.Errorf("encode the source: %w", err)
	}
	var p provenance.Provenance
	p.BuildDefinition.BuildType = provenance.BuildImport
	p.BuildDefinition.ExternalParameters = parameters
	p.BuildDefinition.ResolvedDependencies = []provenance.Resource{dependency}
	p.RunDetails.Builder.ID = r.o.ID
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = v.CreatedAt.UTC().Truncate(time.Second), now
	return r.publish(ctx, v, "provenance.dsse.json", provenance.PredicateProvenance, p, now)
}

// publish signs a statement about a version and pushes it.
func (r *Recorder) publish(ctx context.Context, v *registry.Version, file, predicateType string, predicate any, at time.Time) (registry.Digest, error) {
	text, err := provenance.EncodeStatement(subjects(v), predicateType, predicate)
	if err != nil {
		return registry.Digest{}, err
	}
	envelope, keyID, err := r.o.Signer.SignStatement(ctx, text)
	if err != nil {
		return registry.Digest{}, err
	}
	g := auth.System(string(v.Name), auth.Push)
	subject, err := r.o.Publisher.Manifest(ctx, g, registry.Reference{Digest: v.Digest})
	if err != nil {
		return registry.Digest{}, fmt.Errorf("find the statement's subject: %w", err)
	}
	ref, err := pack(subject, registry.MediaTypeDSSE, file, Attested{Envelope: envelope, PredicateType: predicateType, KeyID: keyID}, map[string]string{
		registry.AnnotationCreated: at.Format(time.RFC3339), registry.AnnotationPredicateType: predicateType,
	})
	if err != nil {
		return registry.Digest{}, err
	}
	return ref.Digest, ref.push(ctx, r.o.Publisher, g)
}

// subjects are the version's manifest and the root digest of its files. They
// have no names: bytes are as good in a copy.
func subjects(v *registry.Version) []provenance.Resource {
	list := []provenance.Resource{{Digest: map[string]string{string(v.Digest.Algorithm()): v.Digest.Hex()}}}
	if root := v.Root(); root != "" {
		list = append(list, provenance.Resource{Name: "root", Digest: map[string]string{"sha256": root}})
	}
	for _, f := range v.Files {
		list = append(list, provenance.Resource{Name: f.Path, Digest: map[string]string{string(f.Digest.Algorithm()): f.Digest.Hex()}})
	}
	return list
}
