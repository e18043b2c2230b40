package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/text"
)

// LicenseTextStore keeps texts of licences that were confirmed here.
type LicenseTextStore interface {
	// LicenseTexts returns those that are kept, the oldest first.
	LicenseTexts(ctx context.Context) ([]StoredLicenseText, error)
	// PutLicenseText keeps a text in the place of an earlier one with the same
	// digest, and makes all versions due for assessment.
	PutLicenseText(ctx context.Context, t StoredLicenseText) error
	// DeleteLicenseText forgets a text, and makes all versions due for assessment.
	// Errors: CodeManifestUnknown.
	DeleteLicenseText(ctx context.Context, d Digest) error
}

// StoredLicenseText is a text with the signed decision that makes it count.
type StoredLicenseText struct {
	Digest   Digest // of Text
	Ref      string
	Text     string
	Envelope []byte
}

// LicenseText is a text of which an administrator of this hub confirmed which
// licence it is, as the hub signed it. It is then found word for word in every
// other version.
type LicenseText struct {
	Ref     string    `json:"ref"`    // SPDX id or LicenseRef of the catalogue
	Text    Digest    `json:"text"`   // digest of the text's bytes
	Words   string    `json:"words"`  // SHA-256 of its words, see text.Digest
	Name    Name      `json:"name"`   // of the model it was first found in
	Digest  Digest    `json:"digest"` // of that version's manifest
	By      string    `json:"by"`     // the administrator
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Content string    `json:"content,omitempty"` // the text itself, where it was asked for
}

// licenseTextType is the predicate type of a signed confirmation.
const licenseTextType = "https://github.com/carat-hub/carat/license-text/v1"

// Limits of confirmations.
const (
	maxLicenseTexts  = 1000
	maxConfirmReason = 1000 // bytes
)

// confirmedTexts are those that count, as last read.
type confirmedTexts struct {
	mu   sync.Mutex
	read time.Time // zero when they must be read
	list []LicenseText
	byID map[Digest]string // texts by their digest
	used *texts
}

// texts returns what texts of licences are identified by, a few seconds old at most.
func (r *Registry) texts(ctx context.Context) (*texts, error) {
	c := &r.confirmed
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := r.readTexts(ctx); err != nil {
		return nil, err
	}
	return c.used, nil
}

// readTexts reads what was confirmed, unless it was just read.
func (r *Registry) readTexts(ctx context.Context) error {
	c, now := &r.confirmed, r.now()
	if !c.read.IsZero() && now.Sub(c.read) < gateAge {
		return nil
	}
	stored, err := r.store.LicenseTexts(ctx)
	if err != nil {
		return err
	}
	envelopes := make([][]byte, len(stored))
	contents := make(map[Digest]string, len(stored))
	for i, s := range stored {
		envelopes[i] = s.Envelope
		if d := DigestOf(SHA256, []byte(s.Text)); d == s.Digest {
			contents[d] = s.Text
		}
	}
	list, err := openDecisions[LicenseText](ctx, r, licenseTextType, envelopes)
	if err != nil {
		return err
	}
	// A text counts when the decision about it was signed by this hub and is about these very bytes.
	var fingerprints []text.Fingerprint
	mark := sha256.New()
	list = slices.DeleteFunc(list, func(x LicenseText) bool {
		s, ok := contents[x.Text]
		if !ok {
			return true
		}
		words, err := text.Words(s)
		if err != nil {
			return true
		}
		f, ok := text.NewFingerprint(x.Ref, words)
		if !ok {
			return true
		}
		f.Confirmed = true
		fingerprints = append(fingerprints, f)
		mark.Write([]byte(f.Ref + " " + f.Digest + "\n"))
		return false
	})
	c.list, c.byID, c.read = list, contents, now
	t := programTexts()
	if len(fingerprints) > 0 {
		t = &texts{library: text.Known().With(fingerprints...), mark: hex.EncodeToString(mark.Sum(nil)[:6])}
	}
	if c.used == nil || c.used.mark != t.mark {
		c.used = t
	}
	return nil
}

// forgetTexts has them read again.
func (r *Registry) forgetTexts() {
	r.confirmed.mu.Lock()
	r.confirmed.read = time.Time{}
	r.confirmed.mu.Unlock()
	r.consent.mu.Lock()
	r.consent.terms = nil
	r.consent.mu.Unlock()
}

// ConfirmText signs that the text in a version is that of a licence of the
// catalogue. From then on it is found word for word in other versions too, and
// all versions are assessed anew. Only administrators may. Errors:
// auth.ErrDenied, auth.ErrUnauthenticated, CodeTermsInvalid.
func (r *Registry) ConfirmText(ctx context.Context, p auth.Principal, v *Version, ref, reason string) (*LicenseText, error) {
	if err := auth.Administer(p); err != nil {
		return nil, err
	}
	reason, reasoned := written(reason, maxConfirmReason)
	fact, known := licenses.Lookup(ref)
	switch {
	case r.notary == nil:
		return nil, Errorf(CodeTermsInvalid, "this hub signs nothing")
	case v.Facts == nil || v.Facts.License.Text == "":
		return nil, Errorf(CodeTermsInvalid, "the version has no file with the text of a licence, or was not inspected yet")
	case !known || fact.SPDX == "":
		return nil, Errorf(CodeTermsInvalid, "the catalogue has no licence %q; see carat license list", clipRunes(clean(ref), 80))
	case !reasoned:
		return nil, Errorf(CodeTermsInvalid, "a confirmation has a reason of at most %d bytes", maxConfirmReason)
	}
	words, err := text.Words(v.Facts.License.Text)
	if err != nil {
		return nil, Errorf(CodeTermsInvalid, "%v", err)
	}
	if _, ok := text.NewFingerprint(fact.SPDX, words); !ok {
		return nil, Errorf(CodeTermsInvalid, "the text has only %d words, too few to be told from others", len(words))
	}
	is, err := text.Known().Identify(v.Facts.License.Text)
	if err != nil {
		return nil, err
	}
	if len(is.Refs) > 0 {
		return nil, Errorf(CodeTermsInvalid, "the text is that of %s, word for word, which nobody needs to confirm", strings.Join(is.Refs, " and "))
	}
	r.confirmed.mu.Lock()
	err = r.readTexts(ctx)
	full := len(r.confirmed.list) >= maxLicenseTexts
	r.confirmed.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case full:
		return nil, Errorf(CodeTermsInvalid, "the hub keeps %d confirmed texts already", maxLicenseTexts)
	}
	x := LicenseText{
		Ref: fact.SPDX, Text: DigestOf(SHA256, []byte(v.Facts.License.Text)), Words: text.Digest(words),
		Name: v.Name, Digest: v.Digest, By: p.Name, At: r.now().UTC().Truncate(time.Second), Reason: reason,
	}
	envelope, err := r.signDecision(ctx, v, licenseTextType, x)
	if err != nil {
		return nil, err
	}
	if err := r.store.PutLicenseText(ctx, StoredLicenseText{Digest: x.Text, Ref: x.Ref, Text: v.Facts.License.Text, Envelope: envelope}); err != nil {
		return nil, err
	}
	r.forgetTexts()
	return &x, nil
}

// LicenseTexts lists what was confirmed, the oldest first, without the texts.
// Only administrators may. Errors: auth.ErrDenied, auth.ErrUnauthenticated.
func (r *Registry) LicenseTexts(ctx context.Context, p auth.Principal) ([]LicenseText, error) {
	if err := auth.Administer(p); err != nil {
		return nil, err
	}
	r.confirmed.mu.Lock()
	defer r.confirmed.mu.Unlock()
	if err := r.readTexts(ctx); err != nil {
		return nil, err
	}
	return slices.Clone(r.confirmed.list), nil
}

// LicenseText returns one with its text. Only administrators may. Errors:
// auth.ErrDenied, auth.ErrUnauthenticated, CodeManifestUnknown.
func (r *Registry) LicenseText(ctx context.Context, p auth.Principal, d Digest) (*LicenseText, error) {
	list, err := r.LicenseTexts(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, x := range list {
		if x.Text == d {
			r.confirmed.mu.Lock()
			x.Content = r.confirmed.byID[d]
			r.confirmed.mu.Unlock()
			return &x, nil
		}
	}
	return nil, Errorf(CodeManifestUnknown, "no text with the digest %s was confirmed", d)
}

// ForgetText takes a confirmation back. Only administrators may. Errors:
// auth.ErrDenied, auth.ErrUnauthenticated, CodeManifestUnknown.
func (r *Registry) ForgetText(ctx context.Context, p auth.Principal, d Digest) error {
	if err := auth.Administer(p); err != nil {
		return err
	}
	if err := r.store.DeleteLicenseText(ctx, d); err != nil {
		return err
	}
	r.forgetTexts()
	return nil
}

// Reading is what the text of a version's licence is.
type Reading struct {
	text.Result
	File string `json:"file"` // that it stands in
	// Compared is the licence that Difference is from: the candidate that is
	// most like the text, or the licence that stands in it with other words.
	Compared   string           `json:"compared,omitempty"`
	Difference *text.Difference `json:"difference,omitempty"`
}

// ReadLicense tells which licence the text in a version is, and how it differs
// from the one that it is most like. It returns nil when there is no text.
// Errors: auth.ErrDenied.
func (r *Registry) ReadLicense(ctx context.Context, g auth.Grant, v *Version) (*Reading, error) {
	if _, err := granted(g, auth.Pull); err != nil {
		return nil, err
	}
	if v.Facts == nil || v.Facts.License.Text == "" {
		return nil, nil
	}
	t, err := r.texts(ctx)
	if err != nil {
		return nil, err
	}
	r.confirmed.mu.Lock()
	list, contents := r.confirmed.list, r.confirmed.byID
	r.confirmed.mu.Unlock()
	return read(t.library, v.Facts.License.Text, v.Facts.License.File, func(ref string) (string, bool) {
		for _, x := range list {
			if x.Ref == ref {
				return contents[x.Text], true
			}
		}
		return text.Standard(ref)
	})
}

// ReadText tells which licence a text is, by what comes with the program.
func ReadText(s, file string) (*Reading, error) { return read(text.Known(), s, file, text.Standard) }

func read(l *text.Library, s, file string, known func(ref string) (string, bool)) (*Reading, error) {
	result, err := l.Identify(s)
	if err != nil {
		return nil, Errorf(CodeTermsInvalid, "%s: %v", file, err)
	}
	x := &Reading{Result: result, File: file}
	var ref string
	switch {
	case len(x.Refs) > 0:
		return x, nil
	case len(x.Contains) > 0:
		ref = x.Contains[0]
	case len(x.Candidates) > 0:
		ref = x.Candidates[0].Ref
	}
	if whole, ok := known(ref); ok {
		if x.Difference, err = text.Compare(whole, s); err != nil {
			return nil, err
		}
		x.Compared = ref
	}
	return x, nil
}
