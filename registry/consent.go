package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/term"
)

// ConsentGate says that the terms of a model have to be accepted before it is
// pulled. An organization's holds for all of its models that have none of
// their own. What it does not say itself, the card of a version may; see CardGate.
type ConsentGate struct {
	Scope   string         `json:"scope"` // "org" or "org/name"
	Mode    ConsentMode    `json:"mode"`
	Heading string         `json:"heading,omitempty"` // over the form
	Prompt  string         `json:"prompt,omitempty"`  // text above it, plain
	Button  string         `json:"button,omitempty"`
	Fields  []ConsentField `json:"fields,omitempty"`

	Description string `json:"description,omitempty"` // text right below the heading, plain
}

// ConsentMode says what accepting does.
type ConsentMode string

// The modes. ConsentOff lets a model be pulled although its organization has a gate.
const (
	ConsentOff    ConsentMode = "off"
	ConsentAuto   ConsentMode = "auto"   // who accepts may pull
	ConsentManual ConsentMode = "manual" // who accepts asks; an administrator decides
)

// ConsentField is something that who accepts has to tell.
type ConsentField struct {
	Name    string    `json:"name"`
	Kind    FieldKind `json:"kind"`
	Options []string  `json:"options,omitempty"` // of a selection
}

// FieldKind is the kind of a field, by the words that Hugging Face has for them.
type FieldKind string

// The kinds.
const (
	FieldText     FieldKind = "text"
	FieldCheckbox FieldKind = "checkbox" // must be ticked
	FieldDate     FieldKind = "date_picker"
	FieldCountry  FieldKind = "country" // ISO 3166-1 alpha-2
	FieldSelect   FieldKind = "select"
	// FieldAddress is the address from which the terms are accepted. The hub
	// records it by itself; nobody is asked.
	FieldAddress FieldKind = "ip_location"
)

func fieldKinds() []FieldKind {
	return []FieldKind{FieldText, FieldCheckbox, FieldDate, FieldCountry, FieldSelect, FieldAddress}
}

// Limits of a gate and of what is told to it.
const (
	maxConsentText    = 32 << 10 // bytes of a prompt; that of Llama 3.1 has 20,000
	maxConsentFields  = 32
	maxConsentOptions = 300
	maxConsentName    = 500  // bytes of a field's name, which may be a whole sentence to tick
	maxConsentWord    = 200  // bytes of an option, a heading, a button
	maxConsentValue   = 1000 // bytes of an answer
)

// Check refuses a gate that cannot be shown. Errors: CodeTermsInvalid.
func (g *ConsentGate) Check() error {
	bad := func(format string, args ...any) error { return Errorf(CodeTermsInvalid, format, args...) }
	switch {
	case g.Mode != ConsentOff && g.Mode != ConsentAuto && g.Mode != ConsentManual:
		return bad("a mode is off, auto or manual, not %.40q", g.Mode)
	case len(g.Prompt) > maxConsentText || len(g.Description) > maxConsentText:
		return bad("prompt and description are at most %d bytes long", maxConsentText)
	case len(g.Heading) > maxConsentWord || len(g.Button) > maxConsentWord:
		return bad("heading and button are at most %d bytes long", maxConsentWord)
	case len(g.Fields) > maxConsentFields:
		return bad("there are more than %d fields", maxConsentFields)
	}
	seen := map[string]bool{}
	for _, f := range g.Fields {
		if p := f.problem(); p != "" {
			return bad("%s", p)
		}
		if seen[f.Name] {
			return bad("there are two fields %q", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}

// problem says why a field cannot be asked for, "" when it can.
func (f ConsentField) problem() string {
	switch {
	case !isWords(f.Name, maxConsentName):
		return fmt.Sprintf("the name of a field is a line of at most %d bytes", maxConsentName)
	case !slices.Contains(fieldKinds(), f.Kind):
		return fmt.Sprintf("field %q is of the unknown kind %.40q", f.Name, f.Kind)
	case f.Kind != FieldSelect && len(f.Options) > 0:
		return fmt.Sprintf("field %q has options and is no selection", f.Name)
	case f.Kind == FieldSelect && (len(f.Options) == 0 || len(f.Options) > maxConsentOptions):
		return fmt.Sprintf("field %q has %d options; a selection has 1 to %d", f.Name, len(f.Options), maxConsentOptions)
	}
	seen := map[string]bool{}
	for _, o := range f.Options {
		if !isWords(o, maxConsentWord) || seen[o] {
			return fmt.Sprintf("field %q has an option %.40q; options are different lines of at most %d bytes", f.Name, o, maxConsentWord)
		}
		seen[o] = true
	}
	return ""
}

// isWords tells whether a text comes back from a form as it is: one line
// without space at its ends.
func isWords(s string, limit int) bool {
	return s != "" && len(s) <= limit && strings.TrimSpace(clean(s)) == s && !strings.ContainsAny(s, "\r\n")
}

// Answers are what somebody tells who accepts terms.
type Answers struct {
	Key     Digest            // of the terms that were shown
	Fields  map[string]string // by the names of the gate's fields
	Channel string            // how they came: "web", "api"
	Address string            // from where they came, an IP address
}

// answers checks what was told and returns it by the names of fields. Errors: CodeTermsInvalid.
func (g *ConsentGate) answers(told Answers) (map[string]string, error) {
	out := map[string]string{}
	for _, f := range g.Fields {
		v := strings.TrimSpace(clean(told.Fields[f.Name]))
		problem := ""
		switch {
		case f.Kind == FieldAddress:
			v = told.Address
		case f.Kind == FieldCheckbox:
			if v != "true" && v != "on" {
				problem = "has to be ticked (true)"
			}
			v = "true"
		case v == "":
			problem = "has to be filled in"
		case len(v) > maxConsentValue:
			problem = fmt.Sprintf("has more than %d bytes", maxConsentValue)
		case f.Kind == FieldDate:
			if _, err := time.Parse(time.DateOnly, v); err != nil {
				problem = "has to be a date like 2026-01-31"
			}
		case f.Kind == FieldCountry:
			if v = strings.ToUpper(v); len(v) != 2 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
				problem = "has to be the two letters of a country, like FR"
			}
		case f.Kind == FieldSelect:
			if !slices.Contains(f.Options, v) {
				problem = "has to be one of the options"
			}
		}
		if problem != "" {
			return nil, Errorf(CodeTermsInvalid, "%q %s", f.Name, problem)
		}
		out[f.Name] = v
	}
	return out, nil
}

// Terms are what is accepted: the texts of all licences over the lineage, as
// everybody may see it.
type Terms struct {
	Licences []TermsLicence `json:"licences"`
	// Text is the digest of the licence text in the version itself.
	Text Digest `json:"text,omitzero"`
	// Strange are the digests of the texts over the lineage that are no known
	// licence word for word, sorted: of them only the bytes say whether they changed.
	Strange []Digest `json:"strange,omitempty"`
	Unclear []string `json:"unclear,omitempty"` // what was not known of them
}

// TermsLicence is one text of a licence.
type TermsLicence struct {
	Ref       string `json:"ref"` // SPDX id or LicenseRef
	Effective string `json:"effective,omitempty"`
	From      string `json:"from,omitempty"` // the model that it is the licence of, "" for the version itself
}

// Key is a digest of the terms: with it who accepts says what was shown.
func (t *Terms) Key() Digest {
	p, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("encode terms: %v", err)) // strings only
	}
	return DigestOf(SHA256, p)
}

// Covers tells whether who accepted t need not be asked for later terms:
// nothing is tighter than it was, nothing less is known, and no text is there
// that nobody knows and that was not there.
func (t *Terms) Covers(later *Terms) bool {
	for _, l := range later.Licences {
		if !slices.ContainsFunc(t.Licences, func(b TermsLicence) bool { return b.covers(l) }) {
			return false
		}
	}
	return within(later.Strange, t.Strange) && within(later.Unclear, t.Unclear)
}

func within[E comparable](part, whole []E) bool {
	return !slices.ContainsFunc(part, func(e E) bool { return !slices.Contains(whole, e) })
}

func (l TermsLicence) covers(later TermsLicence) bool {
	if l.Ref == later.Ref && l.Effective == later.Effective {
		return true
	}
	before, after := l.fact(), later.fact()
	return before != nil && after != nil && licenses.Compare(before, after).Change != licenses.ChangeTighter
}

func (l TermsLicence) fact() *licenses.Fact {
	for _, f := range licenses.Versions(l.Ref) {
		if f.Effective == l.Effective {
			return f
		}
	}
	return nil
}

// ConsentState is what became of an acceptance.
type ConsentState string

// The states.
const (
	ConsentAccepted ConsentState = "accepted"
	ConsentPending  ConsentState = "pending" // a maintainer has to decide
	ConsentDenied   ConsentState = "denied"
)

// Acceptance is one acceptance of terms. What it says is in its envelope,
// which is an entry of the hub's log; who it was is told apart from that and can
// be erased.
type Acceptance struct {
	ID       int64        `json:"id"`
	Name     Name         `json:"name"`
	Digest   Digest       `json:"digest"` // of the version's manifest
	UserID   int64        `json:"-"`
	Terms    Terms        `json:"terms"`
	State    ConsentState `json:"state"`
	At       time.Time    `json:"at"`
	Hash     Digest       `json:"hash"`              // of the entry
	Previous Digest       `json:"previous,omitzero"` // Hash of the entry before, zero for the first
	Envelope []byte       `json:"-"`
	Salt     []byte       `json:"-"` // nil when erased
	Party    []byte       `json:"-"` // JSON of who it was, nil when erased
}

// Receipt is what who accepted gets.
func (a *Acceptance) Receipt() Receipt {
	return Receipt{Envelope: a.Envelope, Salt: a.Salt, Party: a.Party}
}

// ErrLogMoved says that another entry was added to the log in between.
var ErrLogMoved = errors.New("another entry was added to the log")

// ConsentStore keeps gates and the log of acceptances.
type ConsentStore interface {
	// ConsentGates returns all gates by their scopes.
	ConsentGates(ctx context.Context) (map[string]ConsentGate, error)
	// SetConsentGate stores a gate, or takes the one of the scope away when g is nil.
	SetConsentGate(ctx context.Context, scope string, g *ConsentGate) error
	// Acceptances returns the newest entries of a user for a model, newest first.
	Acceptances(ctx context.Context, userID int64, n Name, limit int) ([]Acceptance, error)
	// AcceptanceLog returns entries in their order after the one with an id.
	AcceptanceLog(ctx context.Context, after int64, limit int) ([]Acceptance, error)
	// AcceptancesOf is AcceptanceLog for the models of an organization, or one.
	AcceptancesOf(ctx context.Context, scope Name, after int64, limit int) ([]Acceptance, error)
	// LastAcceptance returns the hash of the last entry, zero when there is none.
	LastAcceptance(ctx context.Context) (Digest, error)
	// AppendAcceptance adds an entry and returns its id. Errors: ErrLogMoved
	// when a.Previous is not the last one.
	AppendAcceptance(ctx context.Context, a Acceptance) (int64, error)
	// DecideAcceptance changes the state of a pending entry. Errors: CodeManifestUnknown.
	DecideAcceptance(ctx context.Context, id int64, s ConsentState) error
	// EraseParty forgets who a user was in all entries and returns in how many.
	EraseParty(ctx context.Context, userID int64) (int64, error)
	// ManifestsOfBlob returns the manifests of a repository that refer to a blob.
	ManifestsOfBlob(ctx context.Context, n Name, d Digest, limit int) ([]Digest, error)
}

// Notary signs entries of the log with the hub's key.
type Notary interface {
	SignStatement(ctx context.Context, statement []byte) (envelope []byte, keyID string, err error)
}

// ConsentError says that terms have to be accepted first.
type ConsentError struct {
	Name    Name
	Digest  Digest // of the version, zero for content of several
	Pending bool   // they were, and an administrator has not decided yet
	Denied  bool   // and an administrator decided against it
	Changed bool   // earlier terms were, and these are tighter
}

// Error implements error; the client sees it.
func (e *ConsentError) Error() string {
	switch {
	case e.Denied:
		return fmt.Sprintf("access to %s was denied", e.Name)
	case e.Pending:
		return fmt.Sprintf("access to %s was asked for, and an administrator has not decided yet", e.Name)
	case e.Changed:
		return fmt.Sprintf("the terms of %s have become tighter and have to be accepted again", e.Name)
	}
	return fmt.Sprintf("the terms of %s have to be accepted first", e.Name)
}

// consent is what the registry remembers of gates and terms for a few seconds.
type consent struct {
	mu    sync.Mutex
	gates map[string]ConsentGate
	read  time.Time             // zero when they must be read
	terms map[string]knownTerms // by workID: the same bytes may be in two repositories
}

type knownTerms struct {
	terms  Terms
	report lineage.Report
	at     time.Time
}

// consentGate returns the gate that holds for a model, nil for none.
func (r *Registry) consentGate(ctx context.Context, n Name) (*ConsentGate, error) {
	r.consent.mu.Lock()
	defer r.consent.mu.Unlock()
	if now := r.now(); r.consent.read.IsZero() || now.Sub(r.consent.read) >= gateAge {
		gates, err := r.store.ConsentGates(ctx)
		if err != nil {
			return nil, err
		}
		r.consent.gates, r.consent.read = gates, now
	}
	for _, scope := range []string{string(n), orgOf(n)} {
		if g, ok := r.consent.gates[scope]; ok {
			if g.Mode == ConsentOff {
				return nil, nil
			}
			return &g, nil
		}
	}
	return nil, nil
}

// passConsent lets a pull through, or refuses it with a *ConsentError.
// versions finds the manifests that are asked for; none is no version.
func (r *Registry) passConsent(ctx context.Context, g auth.Grant, n Name, versions func(context.Context) ([]Digest, error)) error {
	gate, err := r.consentGate(ctx, n)
	if err != nil || gate == nil || g.MayPush() {
		return err
	}
	digests, err := versions(ctx)
	if err != nil {
		return err
	}
	p := g.Principal()
	var list []Acceptance
	if !p.Anonymous() {
		if list, err = r.store.Acceptances(ctx, p.UserID, n, 20); err != nil {
			return err
		}
	}
	refusal := &ConsentError{Name: n}
	passed, err := r.anyVersion(ctx, n, digests, func(v *Version) (bool, error) {
		terms, err := r.terms(ctx, v)
		if err != nil {
			return false, err
		}
		*refusal = ConsentError{Name: n, Digest: v.Digest}
		return refusal.decide(list, &terms), nil
	})
	if passed || err != nil {
		return err
	}
	if len(digests) != 1 {
		refusal.Digest = Digest{}
	}
	if p.Anonymous() && !p.Limited {
		// Programs show no credentials before they are asked.
		return Wrap(errors.Join(refusal, auth.ErrUnauthenticated), CodeUnauthorized, refusal.Error())
	}
	return Wrap(refusal, CodeDenied, refusal.Error())
}

// decide tells whether acceptances, newest first, let terms pass, and otherwise
// says why not: the newest one that covers them counts.
func (e *ConsentError) decide(list []Acceptance, terms *Terms) bool {
	for _, a := range list {
		if a.Terms.Covers(terms) {
			e.Pending, e.Denied = a.State == ConsentPending, a.State == ConsentDenied
			return a.State == ConsentAccepted
		}
		e.Changed = e.Changed || a.State == ConsentAccepted
	}
	return false
}

// anyVersion tells whether any of the manifests is no version of a model, or
// one that passes; for content that several hold one that passes is enough.
func (r *Registry) anyVersion(ctx context.Context, n Name, digests []Digest, passes func(*Version) (bool, error)) (bool, error) {
	for _, d := range digests {
		v, err := r.store.Version(ctx, n, Reference{Digest: d})
		if IsCode(err, CodeManifestUnknown) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if ok, err := passes(&v); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// terms are those of a version as everybody may see its lineage.
func (r *Registry) terms(ctx context.Context, v *Version) (Terms, error) {
	k, err := r.known(ctx, v)
	return k.terms, err
}

// known are the terms of a version and what the rules find, as everybody may
// see its lineage, a few seconds old at most.
func (r *Registry) known(ctx context.Context, v *Version) (knownTerms, error) {
	r.consent.mu.Lock()
	known, ok := r.consent.terms[workID(v)]
	r.consent.mu.Unlock()
	now := r.now()
	if ok && now.Sub(known.at) < gateAge {
		return known, nil
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return knownTerms{}, err
	}
	k := knownTerms{TermsOf(a), lineage.Evaluate(a.Graph, lineage.Options{Now: now, Waivers: a.Waivers}), now}
	r.consent.mu.Lock()
	defer r.consent.mu.Unlock()
	if r.consent.terms == nil || len(r.consent.terms) >= maxIdentities {
		r.consent.terms = map[string]knownTerms{}
	}
	r.consent.terms[workID(v)] = k
	return k, nil
}

// TermsOf are the terms over an ancestry.
func TermsOf(a *Ancestry) Terms {
	s := term.New(a.Graph)
	t := Terms{Licences: []TermsLicence{}, Unclear: s.Unclear}
	for _, l := range s.Licences {
		x := TermsLicence{Ref: l.Licence, From: l.From}
		if f, ok := licenses.Lookup(l.Licence); ok {
			x.Effective = f.Effective
		}
		t.Licences = append(t.Licences, x)
	}
	for id, v := range a.Versions {
		if v.Facts == nil || v.Facts.License.Text == "" {
			continue
		}
		d := DigestOf(SHA256, []byte(v.Facts.License.Text))
		if id == a.Graph.Root {
			t.Text = d
		}
		if len(a.Graph.Works[id].Text.Refs) == 0 && !slices.Contains(t.Strange, d) {
			t.Strange = append(t.Strange, d)
		}
	}
	slices.SortFunc(t.Strange, func(a, b Digest) int { return strings.Compare(a.String(), b.String()) })
	return t
}
