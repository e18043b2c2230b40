package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/term"
)

// ReceiptType is the predicate type of an entry of the log of acceptances.
const ReceiptType = "https://github.com/carat-hub/carat/terms-acceptance/v1"

// MaxReceipt is how long a receipt may be, in bytes.
const MaxReceipt = 1 << 20

// ErrReceipt says that a receipt is none, or does not hold together.
var ErrReceipt = errors.New("not a receipt of an acceptance")

// Receipt proves that somebody accepted terms: the signed entry of the log,
// and what ties it to a person. Without salt and party, once they have been
// erased, it proves that somebody did.
type Receipt struct {
	Envelope json.RawMessage `json:"envelope"` // DSSE
	Salt     []byte          `json:"salt,omitempty"`
	Party    json.RawMessage `json:"party,omitempty"`
}

// Party is who accepts.
type Party struct {
	User   string            `json:"user"`
	Fields map[string]string `json:"fields,omitempty"` // what they told
}

// Entry is what an entry of the log says. It names nobody.
type Entry struct {
	Name       Name      `json:"name"`
	Digest     Digest    `json:"digest"` // of the version's manifest
	Terms      Terms     `json:"terms"`
	Key        Digest    `json:"termsKey"` // of Terms
	Party      Digest    `json:"party"`    // of salt and party
	AcceptedAt time.Time `json:"acceptedAt"`
	Channel    string    `json:"channel"` // "web", "api"
	Previous   Digest    `json:"previous,omitzero"`
}

// statement is an in-toto statement around an entry.
type receiptStatement struct {
	Type          string            `json:"_type"`
	Subject       []json.RawMessage `json:"subject"`
	PredicateType string            `json:"predicateType"`
	Predicate     Entry             `json:"predicate"`
}

// encode writes the payload that is signed. The same entry gives the same bytes.
func (e *Entry) encode() ([]byte, error) {
	subject, err := json.Marshal(map[string]any{"name": string(e.Name), "digest": map[string]string{string(e.Digest.Algorithm()): e.Digest.Hex()}})
	if err != nil {
		return nil, err
	}
	return json.Marshal(receiptStatement{"https://in-toto.io/Statement/v1", []json.RawMessage{subject}, ReceiptType, *e})
}

// ParseEntry reads the payload of an entry whose signature was checked. Errors: ErrReceipt.
func ParseEntry(payload []byte) (*Entry, error) {
	var s receiptStatement
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if s.PredicateType != ReceiptType {
		return nil, fmt.Errorf("%w: it is of type %.100q", ErrReceipt, s.PredicateType)
	}
	again, err := s.Predicate.encode()
	if err != nil || !bytes.Equal(again, payload) {
		return nil, fmt.Errorf("%w: it is not written as the hub writes entries", ErrReceipt)
	}
	if s.Predicate.Key != s.Predicate.Terms.Key() {
		return nil, fmt.Errorf("%w: the digest of the terms is not theirs", ErrReceipt)
	}
	return &s.Predicate, nil
}

// By tells who accepted, when the receipt still says so; nil once that was
// erased. Errors: ErrReceipt when it is not who the entry means.
func (r *Receipt) By(e *Entry) (*Party, error) {
	if len(r.Party) == 0 {
		return nil, nil
	}
	var p Party
	if err := json.Unmarshal(r.Party, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, r.Party); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if partyDigest(r.Salt, compact.Bytes()) != e.Party {
		return nil, fmt.Errorf("%w: it was somebody else who accepted", ErrReceipt)
	}
	return &p, nil
}

// partyDigest hides who it was behind a salt, so that nobody can guess.
func partyDigest(salt, party []byte) Digest {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", hex.EncodeToString(salt))
	h.Write(party)
	d, err := ParseDigest("sha256:" + hex.EncodeToString(h.Sum(nil)))
	if err != nil {
		panic(err) // it is one
	}
	return d
}

// TermsView is what somebody who may be asked sees of terms.
type TermsView struct {
	Required  bool            `json:"required"` // they have to be accepted before a pull
	Gate      *ConsentGate    `json:"gate,omitempty"`
	Statement *term.Statement `json:"statement"`
	Terms     Terms           `json:"terms"`
	Key       Digest          `json:"termsKey"`
	Digest    Digest          `json:"digest"` // of the version's manifest
	// State is that of the principal's own acceptance of these terms, "" for none.
	State ConsentState `json:"state,omitempty"`
}

// TermsView returns the terms of a version, and whether they were accepted.
func (r *Registry) TermsView(ctx context.Context, g auth.Grant, v *Version) (*TermsView, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	gate, err := r.consentGate(ctx, n)
	if err != nil {
		return nil, err
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return nil, err
	}
	s := term.New(a.Graph)
	gate = gate.with(v)
	view := &TermsView{Required: gate != nil && !g.MayPush(), Gate: gate, Statement: &s, Terms: TermsOf(a), Digest: v.Digest}
	view.Key = view.Terms.Key()
	if p := g.Principal(); gate != nil && !p.Anonymous() {
		list, err := r.store.Acceptances(ctx, p.UserID, n, 20)
		if err != nil {
			return nil, err
		}
		for _, x := range list {
			if x.Terms.Covers(&view.Terms) {
				view.State = x.State
				break
			}
		}
	}
	return view, nil
}

// Accept accepts the terms of a version for the principal, who told what the gate asks for.
// Errors: auth.ErrUnauthenticated, CodeTermsChanged, CodeTermsInvalid for
// fields that lack an answer, or where nothing has to be accepted.
func (r *Registry) Accept(ctx context.Context, g auth.Grant, v *Version, told Answers) (*Acceptance, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	p := g.Principal()
	if p.Anonymous() {
		return nil, auth.ErrUnauthenticated
	}
	gate, err := r.consentGate(ctx, n)
	if err != nil {
		return nil, err
	}
	if gate == nil || r.notary == nil {
		return nil, Errorf(CodeTermsInvalid, "nothing has to be accepted for %s", n)
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return nil, err
	}
	terms := TermsOf(a)
	if terms.Key() != told.Key {
		return nil, Errorf(CodeTermsChanged, "the terms are not those that were shown; look at them again")
	}
	fields, err := gate.with(v).answers(told)
	if err != nil {
		return nil, err
	}
	party, err := json.Marshal(Party{User: p.Name, Fields: fields})
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	x := Acceptance{Name: n, Digest: v.Digest, UserID: p.UserID, Terms: terms, State: ConsentAccepted, Salt: salt, Party: party}
	if gate.Mode == ConsentManual {
		x.State = ConsentPending
	}
	for attempt := 0; ; attempt++ {
		x.At = r.now().UTC().Truncate(time.Millisecond)
		if x.Previous, err = r.store.LastAcceptance(ctx); err != nil {
			return nil, err
		}
		e := Entry{Name: n, Digest: v.Digest, Terms: terms, Key: told.Key, Party: partyDigest(salt, party), AcceptedAt: x.At, Channel: told.Channel, Previous: x.Previous}
		payload, err := e.encode()
		if err != nil {
			return nil, err
		}
		x.Hash = DigestOf(SHA256, payload)
		if x.Envelope, _, err = r.notary.SignStatement(ctx, payload); err != nil {
			return nil, err
		}
		x.ID, err = r.store.AppendAcceptance(ctx, x)
		if err == nil {
			return &x, nil
		}
		if !errors.Is(err, ErrLogMoved) || attempt == 20 {
			return nil, err
		}
	}
}

// OwnAcceptance returns the principal's newest acceptance for a model. Errors:
// auth.ErrUnauthenticated, CodeManifestUnknown when there is none.
func (r *Registry) OwnAcceptance(ctx context.Context, g auth.Grant) (*Acceptance, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	p := g.Principal()
	if p.Anonymous() {
		return nil, auth.ErrUnauthenticated
	}
	list, err := r.store.Acceptances(ctx, p.UserID, n, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, Errorf(CodeManifestUnknown, "no terms of %s were accepted", n)
	}
	return &list[0], nil
}

// ConsentGate returns the gate that holds for a model, nil for none.
func (r *Registry) ConsentGate(ctx context.Context, g auth.Grant) (*ConsentGate, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	return r.consentGate(ctx, n)
}

// ConsentGates returns all gates by their scopes. Only administrators may.
func (r *Registry) ConsentGates(ctx context.Context, p auth.Principal) (map[string]ConsentGate, error) {
	if err := auth.Administer(p); err != nil {
		return nil, err
	}
	return r.store.ConsentGates(ctx)
}

// SetConsentGate stores the gate of an organization or a model, or takes it
// away when gate is nil. Its maintainers may. Other nodes follow within
// five seconds. Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeNameInvalid, CodeTermsInvalid.
func (r *Registry) SetConsentGate(ctx context.Context, p auth.Principal, scope Name, gate *ConsentGate) error {
	if _, err := ParseName(string(scope)); err != nil {
		return err
	}
	if err := auth.Oversee(p, auth.Maintain, string(scope)); err != nil {
		return err
	}
	if gate != nil {
		gate.Scope = string(scope)
		if err := gate.Check(); err != nil {
			return err
		}
	}
	if err := r.store.SetConsentGate(ctx, string(scope), gate); err != nil {
		return err
	}
	r.consent.mu.Lock()
	r.consent.read = time.Time{}
	r.consent.mu.Unlock()
	return nil
}

// AcceptanceLog returns entries of the log in their order, after the one with
// an id. Only administrators may.
func (r *Registry) AcceptanceLog(ctx context.Context, p auth.Principal, after int64, limit int) ([]Acceptance, error) {
	if err := auth.Administer(p); err != nil {
		return nil, err
	}
	return r.store.AcceptanceLog(ctx, after, clamp(limit))
}

// AcceptancesOf is AcceptanceLog for the models of an organization, or one; its
// maintainers may. Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeNameInvalid.
func (r *Registry) AcceptancesOf(ctx context.Context, p auth.Principal, scope Name, after int64, limit int) ([]Acceptance, error) {
	if _, err := ParseName(string(scope)); err != nil {
		return nil, err
	}
	if err := auth.Oversee(p, auth.Maintain, string(scope)); err != nil {
		return nil, err
	}
	return r.store.AcceptancesOf(ctx, scope, after, clamp(limit))
}

// DecideAcceptance decides about a pending acceptance; maintainers of the model
// may. Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeTermsInvalid, CodeManifestUnknown.
func (r *Registry) DecideAcceptance(ctx context.Context, p auth.Principal, id int64, s ConsentState) error {
	found, err := r.store.AcceptanceLog(ctx, id-1, 1)
	if err != nil {
		return err
	}
	var model Name // none is that of an acceptance that is not there, which only administrators are told
	if len(found) == 1 && found[0].ID == id {
		model = found[0].Name
	}
	if err := auth.Oversee(p, auth.Maintain, string(model)); err != nil {
		return err
	}
	if s != ConsentAccepted && s != ConsentDenied {
		return Errorf(CodeTermsInvalid, "who decides accepts or denies")
	}
	return r.store.DecideAcceptance(ctx, id, s)
}

// EraseParty forgets who a user was in all entries of the log, which stays
// whole. Only administrators may.
func (r *Registry) EraseParty(ctx context.Context, p auth.Principal, userID int64) (int64, error) {
	if err := auth.Administer(p); err != nil {
		return 0, err
	}
	return r.store.EraseParty(ctx, userID)
}
