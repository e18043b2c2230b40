package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/carat-hub/carat/registry"
)

// Terms returns the terms of a version, and whether they have to be and were
// accepted. Errors: those of Assessment.
func (h *Hub) Terms(ctx context.Context, n registry.Name, ref registry.Reference) (*registry.TermsView, error) {
	var v registry.TermsView
	err := h.call(ctx, http.MethodGet, versionPath(n, ref)+"/terms", nil, &v)
	if err == nil && v.Key.IsZero() {
		err = ErrNoHub
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the terms of %s: %w", displayVersion(n, ref), err)
	}
	return &v, nil
}

// Accepted is what a hub answers to an acceptance.
type Accepted struct {
	State   registry.ConsentState `json:"state"`
	Receipt registry.Receipt      `json:"receipt"`
}

// Accept accepts the terms that Terms returned under a key. Errors:
// ErrNoCredentials, registry.CodeTermsChanged, registry.CodeTermsInvalid, *ResponseError.
func (h *Hub) Accept(ctx context.Context, n registry.Name, ref registry.Reference, key registry.Digest, fields map[string]string) (*Accepted, error) {
	var a Accepted
	err := h.change(ctx, http.MethodPost, versionPath(n, ref)+"/terms", map[string]any{"termsKey": key, "fields": fields}, &a)
	if err != nil {
		return nil, fmt.Errorf("accept the terms of %s: %w", displayVersion(n, ref), err)
	}
	return &a, nil
}

// Receipt returns the receipt of one's newest acceptance for a model. Errors:
// ErrNoCredentials, registry.CodeManifestUnknown, *ResponseError.
func (h *Hub) Receipt(ctx context.Context, n registry.Name) (*registry.Receipt, error) {
	var r registry.Receipt
	if err := h.change(ctx, http.MethodGet, "/api/v1/models/"+string(n)+"/receipt", nil, &r); err != nil {
		return nil, fmt.Errorf("fetch the receipt for %s: %w", n, err)
	}
	return &r, nil
}

func termsGatePath(scope registry.Name) string { return "/api/v1/terms-gates/" + string(scope) }

// TermsGates returns all gates of terms by their scopes. Errors:
// ErrNoCredentials, *ResponseError.
func (h *Hub) TermsGates(ctx context.Context) (map[string]registry.ConsentGate, error) {
	var list struct {
		Gates map[string]registry.ConsentGate `json:"gates"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/terms-gates", nil, &list); err != nil {
		return nil, fmt.Errorf("fetch the gates of terms: %w", err)
	}
	return list.Gates, nil
}

// SetTermsGate stores the gate of an organization or a model, or takes it away
// when g is nil. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetTermsGate(ctx context.Context, scope registry.Name, g *registry.ConsentGate) error {
	method, body := http.MethodPut, any(g)
	if g == nil {
		method, body = http.MethodDelete, nil
	}
	if err := h.change(ctx, method, termsGatePath(scope), body, nil); err != nil {
		return fmt.Errorf("set the gate of terms of %s: %w", scope, err)
	}
	return nil
}

// LogEntry is an entry of the log of acceptances.
type LogEntry struct {
	ID      int64                 `json:"id"`
	State   registry.ConsentState `json:"state"`
	Name    registry.Name         `json:"name"`
	At      time.Time             `json:"at"`
	Hash    registry.Digest       `json:"hash"`
	Receipt registry.Receipt      `json:"receipt"`
}

// Acceptances calls each with every entry of the log in its order. Errors:
// ErrNoCredentials, *ResponseError, those of each.
func (h *Hub) Acceptances(ctx context.Context, each func(LogEntry) error) error {
	return h.AcceptancesOf(ctx, "", each)
}

// AcceptancesOf is Acceptances for the models of an organization, or one. The
// whole log is that of scope "".
func (h *Hub) AcceptancesOf(ctx context.Context, scope registry.Name, each func(LogEntry) error) error {
	for after := int64(0); ; {
		var list struct {
			Acceptances []LogEntry `json:"acceptances"`
		}
		if err := h.call(ctx, http.MethodGet, "/api/v1/acceptances?"+url.Values{"scope": {string(scope)}, "after": {strconv.FormatInt(after, 10)}}.Encode(), nil, &list); err != nil {
			return fmt.Errorf("fetch the log of acceptances: %w", err)
		}
		if len(list.Acceptances) == 0 {
			return nil
		}
		for _, e := range list.Acceptances {
			if err := each(e); err != nil {
				return err
			}
			after = e.ID
		}
	}
}

// Decide decides about a pending acceptance. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Decide(ctx context.Context, id int64, s registry.ConsentState) error {
	if err := h.change(ctx, http.MethodPost, "/api/v1/acceptances/"+strconv.FormatInt(id, 10), map[string]any{"state": s}, nil); err != nil {
		return fmt.Errorf("decide about acceptance %d: %w", id, err)
	}
	return nil
}

// EraseParty forgets who a user was in the log of acceptances, and returns in
// how many entries. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) EraseParty(ctx context.Context, user string) (int64, error) {
	var n struct {
		Erased int64 `json:"erased"`
	}
	if err := h.change(ctx, http.MethodDelete, "/api/v1/users/"+user+"/acceptances", nil, &n); err != nil {
		return 0, fmt.Errorf("erase %s from the log of acceptances: %w", user, err)
	}
	return n.Erased, nil
}

// Waive lets a finding of a version be until a time. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Waive(ctx context.Context, n registry.Name, ref registry.Reference, finding, reason string, expires time.Time) error {
	body := map[string]any{"finding": finding, "reason": reason, "expires": expires}
	if err := h.change(ctx, http.MethodPost, versionPath(n, ref)+"/waivers", body, nil); err != nil {
		return fmt.Errorf("waive finding %s of %s: %w", finding, displayVersion(n, ref), err)
	}
	return nil
}

// Unwaive takes a waiver away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Unwaive(ctx context.Context, n registry.Name, ref registry.Reference, finding string) error {
	if err := h.change(ctx, http.MethodDelete, versionPath(n, ref)+"/waivers/"+url.PathEscape(finding), nil, nil); err != nil {
		return fmt.Errorf("take away the waiver of finding %s of %s: %w", finding, displayVersion(n, ref), err)
	}
	return nil
}

// Affirmations returns the judgements of named reviewers that a version meets
// the Open Source AI Definition, the oldest first. Errors: ErrNoHub, *ResponseError.
func (h *Hub) Affirmations(ctx context.Context, n registry.Name, ref registry.Reference) ([]registry.Affirmation, error) {
	var list struct {
		Affirmations []registry.Affirmation `json:"affirmations"`
	}
	if err := h.call(ctx, http.MethodGet, versionPath(n, ref)+"/affirmations", nil, &list); err != nil {
		return nil, fmt.Errorf("fetch the affirmations of %s: %w", displayVersion(n, ref), err)
	}
	return list.Affirmations, nil
}

// Affirm has the hub sign that a reviewer judges a version to meet the Open
// Source AI Definition. Errors: ErrNoCredentials, registry.CodeTermsInvalid, *ResponseError.
func (h *Hub) Affirm(ctx context.Context, n registry.Name, ref registry.Reference, reviewer, reason string) error {
	body := map[string]string{"reviewer": reviewer, "reason": reason}
	if err := h.change(ctx, http.MethodPost, versionPath(n, ref)+"/affirmations", body, nil); err != nil {
		return fmt.Errorf("affirm %s: %w", displayVersion(n, ref), err)
	}
	return nil
}

// Disaffirm takes the affirmation of a reviewer away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Disaffirm(ctx context.Context, n registry.Name, ref registry.Reference, reviewer string) error {
	if err := h.change(ctx, http.MethodDelete, versionPath(n, ref)+"/affirmations?reviewer="+url.QueryEscape(reviewer), nil, nil); err != nil {
		return fmt.Errorf("take away the affirmation of %s: %w", displayVersion(n, ref), err)
	}
	return nil
}
