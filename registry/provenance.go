package registry

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/provenance/modelsigning"
)

// Limits of the evidence that is read beside one version.
const (
	maxEvidence      = 64
	maxEvidenceBytes = 4 << 20  // of one
	maxEvidenceTotal = 16 << 20 // of all
	maxEvidencePages = 5        // of referrers that are looked through
)

// EvidenceKind says what a signed document is.
type EvidenceKind string

// The kinds of evidence.
const (
	ModelSignature    EvidenceKind = "model-signature"      // OpenSSF Model Signing, of the files
	SLSAProvenance    EvidenceKind = "provenance"           // how the version was made
	VerdictSummary    EvidenceKind = "verification-summary" // what a verifier found
	OtherStatement    EvidenceKind = "statement"            // another in-toto statement
	CosignSignature   EvidenceKind = "cosign"
	NotationSignature EvidenceKind = "notation"
)

// EvidenceState says whether a document is to be believed.
type EvidenceState string

// The states of evidence.
const (
	EvidenceVerified   EvidenceState = "verified"   // it is about this version, and a trusted key signed it
	EvidenceUnverified EvidenceState = "unverified" // nobody who is trusted here vouches for it
	EvidenceInvalid    EvidenceState = "invalid"    // it cannot be read, is about something else, or its signature is wrong
)

// Evidence is something signed about a version, or what looks like it. All
// that it says is the word of its signer, and of nobody while it is not verified.
type Evidence struct {
	Kind   EvidenceKind       `json:"kind"`
	State  EvidenceState      `json:"state"`
	Reason string             `json:"reason,omitempty"` // why it is not verified
	Signer *provenance.Signer `json:"signer,omitempty"` // of one that is verified
	Own    bool               `json:"own,omitempty"`    // this hub signed it
	Digest Digest             `json:"digest,omitzero"`  // of the manifest that holds it
	File   string             `json:"file,omitempty"`   // of the version that it is

	PredicateType string                  `json:"predicateType,omitempty"` // of statements
	BuildType     string                  `json:"buildType,omitempty"`     // of provenance
	Builder       string                  `json:"builder,omitempty"`
	Dependencies  []provenance.Dependency `json:"dependencies,omitempty"`
	Result        string                  `json:"result,omitempty"` // of summaries: "PASSED" or "FAILED"
	Levels        []string                `json:"levels,omitempty"`
	Time          time.Time               `json:"time,omitzero"` // of making, as the signer says
}

// Provenance is what is signed of a version.
type Provenance struct {
	// Root is the root digest of the version's files by OpenSSF Model
	// Signing, without their signature, in hexadecimal; "" where the digests of
	// the layers do not tell it.
	Root     string     `json:"root,omitempty"`
	Evidence []Evidence `json:"evidence"`
	// Complete says that there is no more evidence than what is listed.
	Complete bool `json:"complete"`
}

// Provenance reads what is signed of a version: its own file model.sig, and
// the evidence that refers to it. Errors: CodeManifestUnknown.
func (r *Registry) Provenance(ctx context.Context, g auth.Grant, v *Version) (*Provenance, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	return r.provenance(ctx, n, v)
}

func (r *Registry) provenance(ctx context.Context, n Name, v *Version) (*Provenance, error) {
	d := evidenceReader{r: r, name: n, version: v, trust: r.trust, root: v.Root(), left: maxEvidenceTotal}
	if r.ownKeys != nil {
		own, err := r.ownKeys(ctx)
		if err != nil {
			return nil, err
		}
		d.trust = d.trust.With(own...)
		for _, k := range own {
			d.own = append(d.own, k.ID)
		}
	}
	p := &Provenance{Root: d.root}
	var err error
	if p.Complete, err = d.read(ctx); err != nil {
		return nil, err
	}
	p.Evidence = d.list
	if p.Evidence == nil {
		p.Evidence = []Evidence{}
	}
	return p, nil
}

// Root returns the root digest of the version's files, see Provenance.
func (v *Version) Root() string {
	files, ok := v.signable()
	if !ok {
		return ""
	}
	m, err := modelsigning.FromFiles("", files, modelsigning.SignatureFile)
	if err != nil {
		return ""
	}
	return m.Root()
}

// signable lists the files with their digests, when these are of the files
// themselves and of the kind that signatures have.
func (v *Version) signable() (files []modelsigning.File, ok bool) {
	for _, f := range v.Files {
		if f.Packed || f.Digest.Algorithm() != SHA256 {
			return nil, false
		}
		files = append(files, modelsigning.File{Path: f.Path, SHA256: f.Digest.Hex()})
	}
	return files, len(files) > 0
}

// evidenceReader collects what is signed of one version.
type evidenceReader struct {
	r       *Registry
	name    Name
	version *Version
	trust   provenance.Trust
	own     []string // ids of this hub's keys
	root    string
	left    int64 // bytes that may still be read
	list    []Evidence
}

// read reads all evidence and reports whether that was all there is.
func (d *evidenceReader) read(ctx context.Context) (complete bool, err error) {
	for _, f := range d.version.Files {
		if f.Path != modelsigning.SignatureFile {
			continue
		}
		p, err := d.blob(ctx, f.Digest, f.Size)
		if err != nil {
			return false, err
		}
		doc := Evidence{Kind: ModelSignature, File: f.Path}
		d.add(d.statement(doc, p))
	}
	digests, complete, err := d.referrers(ctx)
	if err != nil {
		return false, err
	}
	for _, ref := range digests {
		if err := d.manifest(ctx, ref); err != nil {
			return false, err
		}
		if len(d.list) >= maxEvidence || d.left <= 0 {
			return false, nil
		}
	}
	return complete, nil
}

// referrers lists what may hold evidence: what refers to the version, and
// what cosign keeps under a tag.
func (d *evidenceReader) referrers(ctx context.Context) (list []Reference, complete bool, err error) {
	if tag := Tag(provenance.CosignTag(d.version.Digest.String())); len(tag) <= 128 {
		list = append(list, Reference{Tag: tag})
	}
	var last Digest
	for range maxEvidencePages {
		page, err := d.r.store.Referrers(ctx, d.name, d.version.Digest, "", last, maxReferrers, maxReferrersSize)
		if err != nil {
			return nil, false, err
		}
		for _, ref := range page {
			last = ref.Digest
			if ref.ArtifactType != ArtifactVerification { // which has a place of its own
				list = append(list, Reference{Digest: ref.Digest})
			}
		}
		if len(page) == 0 {
			return list, true, nil
		}
	}
	return list, false, nil
}

// manifest reads the evidence that one manifest holds.
func (d *evidenceReader) manifest(ctx context.Context, ref Reference) error {
	m, err := d.r.store.Manifest(ctx, d.name, ref)
	if IsCode(err, CodeManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	_, doc, err := ParseManifest(m.Body, m.MediaType, SHA256)
	if err != nil {
		return nil //nolint:nilerr // a manifest that was let in otherwise holds no document
	}
	for _, l := range doc.Layers {
		if len(d.list) >= maxEvidence {
			return nil
		}
		one := Evidence{Digest: m.Digest}
		switch {
		case l.MediaType == provenance.MediaTypeSimpleSigning:
			one.Kind = CosignSignature
		case l.MediaType == provenance.MediaTypeJWS, l.MediaType == provenance.MediaTypeCOSE:
			one.Kind = NotationSignature
		case l.MediaType == provenance.MediaTypeDSSE, l.MediaType == provenance.MediaTypeInToto, strings.HasPrefix(l.MediaType, "application/vnd.dev.sigstore.bundle"):
			one.Kind = OtherStatement
		default:
			continue
		}
		if l.MediaType == provenance.MediaTypeCOSE {
			d.add(one.not(provenance.ErrUnsupported))
			continue
		}
		p, err := d.blob(ctx, MustParseDigest(l.Digest.String()), l.Size)
		if err != nil {
			return err
		}
		switch {
		case p == nil:
			d.add(one.not(provenance.ErrMalformed))
		case one.Kind == CosignSignature:
			d.add(d.cosign(one, p, l.Annotations))
		case one.Kind == NotationSignature:
			d.add(d.notation(one, p))
		default:
			d.add(d.statement(one, p))
		}
	}
	return nil
}

func (d *evidenceReader) add(doc Evidence) { d.list = append(d.list, doc) }

// blob reads a document; nil when it is too large or not there.
func (d *evidenceReader) blob(ctx context.Context, digest Digest, size int64) ([]byte, error) {
	if size > min(maxEvidenceBytes, d.left) {
		return nil, nil
	}
	b, err := d.r.store.Blob(ctx, d.name, digest)
	if IsCode(err, CodeBlobUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if b.Size > min(maxEvidenceBytes, d.left) {
		return nil, nil
	}
	d.left -= b.Size
	rc, err := d.r.Open(ctx, b, 0, -1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, b.Size))
}

// not gives a document the state that an error stands for.
func (doc Evidence) not(err error) Evidence {
	doc.State, doc.Reason = EvidenceInvalid, clipRunes(clean(err.Error()), 500)
	if provenance.Unproved(err) {
		doc.State = EvidenceUnverified
	}
	return doc
}

// signed gives a document the state that its signature has.
func (d *evidenceReader) signed(doc Evidence, s provenance.Signer, err error) Evidence {
	if err != nil {
		return doc.not(err)
	}
	doc.State, doc.Signer, doc.Own = EvidenceVerified, &s, s.Certificate == "" && slices.Contains(d.own, s.KeyID)
	return doc
}

func (d *evidenceReader) cosign(doc Evidence, p []byte, annotations map[string]string) Evidence {
	c, err := provenance.ReadCosign(p, annotations)
	if err != nil {
		return doc.not(err)
	}
	if c.Digest != d.version.Digest.String() {
		return doc.not(provenance.ErrSubject)
	}
	s, err := c.Verify(d.trust)
	return d.signed(doc, s, err)
}

func (d *evidenceReader) notation(doc Evidence, p []byte) Evidence {
	n, err := provenance.ReadNotation(p)
	if err != nil {
		return doc.not(err)
	}
	doc.Time = n.SigningTime
	if n.Digest != d.version.Digest.String() {
		return doc.not(provenance.ErrSubject)
	}
	s, err := n.Verify(d.trust, d.r.now())
	return d.signed(doc, s, err)
}

// statement reads an in-toto statement in an envelope or a bundle.
func (d *evidenceReader) statement(doc Evidence, p []byte) Evidence {
	if p == nil {
		return doc.not(provenance.ErrMalformed)
	}
	e, err := provenance.ReadEnvelope(p)
	text := p // an unsigned statement is told as such
	switch {
	case err == nil:
		text = e.Payload
	case !errors.Is(err, provenance.ErrUnsigned):
		return doc.not(err)
	}
	s, serr := provenance.ReadStatement(text)
	if serr != nil {
		return doc.not(serr)
	}
	if doc, serr = d.describe(doc, s); serr != nil {
		return doc.not(serr)
	}
	if err != nil {
		return doc.not(err)
	}
	signer, err := e.Verify(d.trust, d.r.now())
	return d.signed(doc, signer, err)
}

// describe fills in what a statement says, and checks what it is about.
func (d *evidenceReader) describe(doc Evidence, s *provenance.Statement) (Evidence, error) {
	doc.PredicateType = s.PredicateType
	switch s.PredicateType {
	case modelsigning.PredicateType:
		doc.Kind = ModelSignature
		m, err := modelsigning.ReadManifest(s)
		if err != nil {
			return doc, err
		}
		files, ok := d.version.signable()
		if !ok {
			return doc, provenance.ErrUnsupported
		}
		ignored := []string{modelsigning.SignatureFile}
		return doc, m.CompareFiles(files, ignored...)
	case provenance.PredicateProvenance:
		doc.Kind = SLSAProvenance
		p, err := provenance.ReadProvenance(s)
		if err != nil {
			return doc, err
		}
		doc.BuildType, doc.Builder, doc.Dependencies = p.BuildDefinition.BuildType, p.RunDetails.Builder.ID, p.Dependencies()
		doc.Time = p.RunDetails.Metadata.FinishedOn
	case provenance.PredicateSummary:
		doc.Kind = VerdictSummary
		v, err := provenance.ReadSummary(s)
		if err != nil {
			return doc, err
		}
		doc.Builder, doc.Result, doc.Levels, doc.Time = v.Verifier.ID, v.VerificationResult, v.VerifiedLevels, v.TimeVerified
	}
	if !d.about(s) {
		return doc, provenance.ErrSubject
	}
	return doc, nil
}

// about reports whether a statement is about the version: its manifest, the
// root digest of its files, or all of its files that hold weights.
func (d *evidenceReader) about(s *provenance.Statement) bool {
	subjects := map[string]bool{}
	for _, x := range s.SHA256() {
		subjects[x] = true
	}
	if d.version.Digest.Algorithm() == SHA256 && subjects[d.version.Digest.Hex()] || d.root != "" && subjects[d.root] {
		return true
	}
	weights := 0
	for _, f := range d.version.Files {
		if f.MediaType != ModelPackWeight && !isWeights(path.Base(f.Path)) {
			continue
		}
		if weights++; f.Packed || f.Digest.Algorithm() != SHA256 || !subjects[f.Digest.Hex()] {
			return false
		}
	}
	return weights > 0
}

// attested returns from what a version was made, by provenance that a trusted
// key signed. What somebody only declared to the hub is not among it, nor what
// the hub signed itself: it vouches for who said so, and not for the bytes.
func (r *Registry) attested(ctx context.Context, v *Version) ([]provenance.Dependency, error) {
	if r.trust.Empty() {
		return nil, nil
	}
	p, err := r.provenance(ctx, v.Name, v)
	if err != nil {
		return nil, err
	}
	var list []provenance.Dependency
	for _, doc := range p.Evidence {
		if doc.Kind != SLSAProvenance || doc.State != EvidenceVerified || doc.Own {
			continue
		}
		for _, x := range doc.Dependencies {
			if !x.Declared && !slices.Contains(list, x) {
				list = append(list, x)
			}
		}
	}
	return list, nil
}
