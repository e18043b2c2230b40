package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/web"
)

// Codes of the edge, beside those of package registry.
const (
	CodeRequestInvalid  registry.Code = "REQUEST_INVALID"   // a parameter or a body that cannot be read
	CodeRequestTooLarge registry.Code = "REQUEST_TOO_LARGE" // a body over the route's limit
	CodeRequestTimeout  registry.Code = "REQUEST_TIMEOUT"   // a body that stopped coming
	CodeNotFound        registry.Code = "NOT_FOUND"         // no such route
	CodeConflict        registry.Code = "CONFLICT"          // there is one already
	CodeFileUnknown     registry.Code = "FILE_UNKNOWN"      // a version has no such file
)

// statusGone is logged when the client left before there was an answer.
const statusGone = 499

// answers is the one table from codes to HTTP. The codes of the distribution
// specification have the statuses that its endpoints ask for.
var answers = map[registry.Code]struct {
	status int
	retry  int // Retry-After in seconds, 0 = none
}{
	registry.CodeBlobUnknown:         {status: http.StatusNotFound},
	registry.CodeBlobUploadInvalid:   {status: http.StatusBadRequest},
	registry.CodeBlobUploadUnknown:   {status: http.StatusNotFound},
	registry.CodeDigestInvalid:       {status: http.StatusBadRequest},
	registry.CodeManifestBlobUnknown: {status: http.StatusNotFound},
	registry.CodeManifestInvalid:     {status: http.StatusBadRequest},
	registry.CodeManifestUnknown:     {status: http.StatusNotFound},
	registry.CodeNameInvalid:         {status: http.StatusBadRequest},
	registry.CodeNameUnknown:         {status: http.StatusNotFound},
	registry.CodeSizeInvalid:         {status: http.StatusBadRequest},
	registry.CodeUnauthorized:        {status: http.StatusUnauthorized},
	registry.CodeDenied:              {status: http.StatusForbidden},
	registry.CodeUnsupported:         {status: http.StatusMethodNotAllowed},
	registry.CodeTooManyRequests:     {status: http.StatusTooManyRequests, retry: 1},

	registry.CodeTagInvalid:       {status: http.StatusBadRequest},
	registry.CodeManifestTooLarge: {status: http.StatusRequestEntityTooLarge},
	registry.CodeRangeInvalid:     {status: http.StatusRequestedRangeNotSatisfiable},
	registry.CodePageInvalid:      {status: http.StatusBadRequest},
	registry.CodeNoSpace:          {status: http.StatusInsufficientStorage},
	registry.CodeUnavailable:      {status: http.StatusServiceUnavailable, retry: 5},
	registry.CodeInternal:         {status: http.StatusInternalServerError},
	registry.CodeTermsChanged:     {status: http.StatusConflict},
	registry.CodeTermsInvalid:     {status: http.StatusBadRequest},
	registry.CodePolicyInvalid:    {status: http.StatusBadRequest},

	CodeRequestInvalid:  {status: http.StatusBadRequest},
	CodeConflict:        {status: http.StatusConflict},
	CodeRequestTooLarge: {status: http.StatusRequestEntityTooLarge},
	CodeRequestTimeout:  {status: http.StatusRequestTimeout},
	CodeNotFound:        {status: http.StatusNotFound},
	CodeFileUnknown:     {status: http.StatusNotFound},
}

// failure is an error as the client sees it.
type failure struct {
	status int
	retry  int
	body   errorBody
}

// errorBody is one entry of the distribution specification's error list.
type errorBody struct {
	Code    registry.Code `json:"code"`
	Message string        `json:"message"`
	Detail  any           `json:"detail,omitempty"`
}

func fail(code registry.Code, message string, detail any) failure {
	a, ok := answers[code]
	if !ok {
		a, code = answers[registry.CodeInternal], registry.CodeInternal
		message, detail = internalMessage, nil
	}
	return failure{status: a.status, retry: a.retry, body: errorBody{Code: code, Message: message, Detail: detail}}
}

const internalMessage = "the hub could not do this; its log has the reason under this request's id"

// explain decides what the client is told about an error.
func explain(err error, a area, base string) failure {
	var (
		coded   *registry.Error
		gate    *registry.GateError
		consent *registry.ConsentError
		lineage *registry.LineageError
		rules   *registry.PolicyError
		tooMuch *http.MaxBytesError
		route   *echo.HTTPError
		often   *limitError
	)
	switch {
	case errors.Is(err, errStalled):
		return fail(CodeRequestTimeout, "the request body stopped arriving", nil)
	case errors.As(err, &often):
		f := fail(registry.CodeTooManyRequests, often.Error(), nil)
		f.retry = often.seconds()
		return f
	case errors.As(err, &consent):
		detail := refusedByTerms{Name: consent.Name, Digest: consent.Digest, Terms: base + web.TermsURL(consent.Name, consent.Digest)}
		code := registry.CodeDenied
		if errors.Is(err, auth.ErrUnauthenticated) {
			code = registry.CodeUnauthorized
		}
		return fail(code, consent.Error()+"; see "+detail.Terms, detail)
	case errors.As(err, &rules):
		detail := refusedByPolicy{Name: rules.Name, Digest: rules.Digest, License: base + web.LicenseURL(rules.Name, rules.Digest), Action: string(rules.Action), PolicyDecision: rules.Decision}
		code := registry.CodeDenied
		if errors.Is(err, auth.ErrUnauthenticated) {
			code = registry.CodeUnauthorized
		}
		return fail(code, rules.Error()+" See "+detail.License, detail)
	case errors.As(err, &lineage):
		detail := refusedByLineage{Name: lineage.Name, Digest: lineage.Digest, License: base + web.LicenseURL(lineage.Name, lineage.Digest)}
		code := registry.CodeDenied
		if errors.Is(err, auth.ErrUnauthenticated) {
			code = registry.CodeUnauthorized
		}
		return fail(code, lineage.Error()+"; see "+detail.License, detail)
	case errors.As(err, &gate):
		detail := gateDetail(gate, base)
		code := registry.CodeDenied
		if errors.Is(err, auth.ErrUnauthenticated) {
			code = registry.CodeUnauthorized
		}
		return fail(code, gate.Error()+"; see "+detail.Report, detail)
	case errors.As(err, &coded):
		return fail(coded.Code, coded.Message, coded.Detail)
	case errors.As(err, &tooMuch):
		return fail(CodeRequestTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooMuch.Limit), nil)
	case errors.Is(err, auth.ErrCredentials):
		return fail(registry.CodeUnauthorized, "the credentials are not valid", nil)
	case errors.Is(err, auth.ErrUnauthenticated):
		return fail(registry.CodeUnauthorized, "authentication required", nil)
	case errors.Is(err, auth.ErrDenied):
		return fail(registry.CodeDenied, "access denied", nil)
	case errors.Is(err, auth.ErrScope):
		return fail(CodeRequestInvalid, "a scope cannot be read, or there are too many", nil)
	case errors.Is(err, storage.ErrNoSpace):
		return fail(registry.CodeNoSpace, "the blob storage is full", nil)
	case errors.Is(err, storage.ErrUnavailable):
		return fail(registry.CodeUnavailable, "the blob storage cannot be reached", nil)
	case errors.Is(err, storage.ErrNotExist):
		return fail(registry.CodeBlobUnknown, "the blob's content is not there", nil)
	case errors.As(err, &route):
		return explainRoute(route.Code, a)
	}
	return fail(registry.CodeInternal, internalMessage, nil)
}

// refusedByGate is the detail of a pull that a gate refused.
type refusedByGate struct {
	Name   registry.Name   `json:"name"`
	Digest registry.Digest `json:"digest,omitzero"` // of the version
	State  string          `json:"state,omitempty"` // of its verification
	Report string          `json:"report"`          // URL of the page with the verification
}

// refusedByLineage is the detail of a pull of a version that contradicts the
// terms of what it was made from.
type refusedByLineage struct {
	Name    registry.Name   `json:"name"`
	Digest  registry.Digest `json:"digest,omitzero"` // of the version
	License string          `json:"license"`         // URL of the page with the findings
}

// refusedByPolicy is the detail of a pull or push that a policy forbids.
type refusedByPolicy struct {
	Name    registry.Name   `json:"name"`
	Digest  registry.Digest `json:"digest,omitzero"` // of the version
	License string          `json:"license"`         // URL of the page with the terms
	Action  string          `json:"action"`          // "pull" or "push"
	registry.PolicyDecision
}

// refusedByTerms is the detail of a pull whose terms were not accepted.
type refusedByTerms struct {
	Name   registry.Name   `json:"name"`
	Digest registry.Digest `json:"digest,omitzero"` // of the version
	Terms  string          `json:"terms"`           // URL of the page with the terms
}

func gateDetail(e *registry.GateError, base string) refusedByGate {
	return refusedByGate{Name: e.Name, Digest: e.Digest, State: e.State, Report: base + web.VerificationURL(e.Name, e.Digest)}
}

// explainRoute translates echo's own errors: no route, no such method.
func explainRoute(status int, a area) failure {
	switch {
	case status == http.StatusNotFound && a == areaV2:
		return fail(registry.CodeNameUnknown, "there is nothing at this address", nil)
	case status == http.StatusNotFound:
		return fail(CodeNotFound, "there is nothing at this address", nil)
	case status == http.StatusMethodNotAllowed:
		return fail(registry.CodeUnsupported, "the method is not allowed here", nil)
	case status == http.StatusRequestEntityTooLarge:
		return fail(CodeRequestTooLarge, "the body is too long", nil)
	case status >= 400 && status < 500:
		return fail(CodeRequestInvalid, "the request cannot be read", nil)
	}
	return fail(registry.CodeInternal, internalMessage, nil)
}

// renderError is echo's error handler: the only place where an error becomes
// an answer. Causes stay with the exchange, for the log.
func (s *Server) renderError(err error, c echo.Context) {
	var (
		r = c.Request()
		x = exchangeOf(r.Context())
		w = s.writer(c)
		f = explain(err, x.area, x.base)
	)
	x.err = err
	s.noteRefusal(x, err)
	if w.status != 0 {
		// The answer has begun. Ending it here would make it look whole.
		x.abort = true
		return
	}
	if r.Context().Err() != nil && (f.status >= http.StatusInternalServerError || errors.Is(err, context.Canceled)) {
		w.status, x.abort = statusGone, true
		return
	}

	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified", "Link", "Docker-Content-Digest", HeaderLinkedETag, HeaderLinkedSize} {
		h.Del(name) // they were meant for the answer that failed
	}
	if f.status != http.StatusRequestedRangeNotSatisfiable {
		h.Del("Content-Range")
	}
	h.Set("Cache-Control", "no-store")
	if s.toSignIn(c, err) {
		return
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retry))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", s.challenge(r, err))
	}
	if f.status == http.StatusRequestTimeout {
		h.Set("Connection", "close")
	}
	if !x.area.json() && s.errorPage != nil {
		if err := s.errorPage(c, f.status, f.body.Message); err == nil || w.status != 0 {
			return
		}
	}
	contentType, text := "text/plain; charset=utf-8", []byte(f.body.Message+"\n")
	switch {
	case x.area == areaHF:
		contentType, text = "application/json", huggingFace(&f, err, h)
	case x.area.json():
		contentType, text = "application/json", encodeFailure(f)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // the client has gone; the access log has the status
	}
}

// encodeFailure encodes the error list; a detail that cannot be encoded is left out.
func encodeFailure(f failure) []byte {
	list := func(b errorBody) any {
		return map[string][]errorBody{"errors": {b}}
	}
	text, err := json.Marshal(list(f.body))
	if err != nil {
		f.body.Detail = nil
		text, _ = json.Marshal(list(f.body))
	}
	return append(text, '\n')
}

// writer returns the edge's own writer below echo's.
func (s *Server) writer(c echo.Context) *response {
	if w, ok := c.Response().Writer.(*response); ok {
		return w
	}
	return newResponse(c.Response(), s.stall)
}
