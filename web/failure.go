package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// failure is the page of an error.
type failure struct {
	page
	Status  int
	Heading string
	Text    string
	Request string // id of the request, for the log
}

// codeStatus are the statuses of the registry's errors on pages. What a
// malformed name, tag or digest would name does not exist.
var codeStatus = map[registry.Code]int{
	registry.CodeNameUnknown:     http.StatusNotFound,
	registry.CodeManifestUnknown: http.StatusNotFound,
	registry.CodeNameInvalid:     http.StatusNotFound,
	registry.CodeTagInvalid:      http.StatusNotFound,
	registry.CodeDigestInvalid:   http.StatusNotFound,
	registry.CodeBlobUnknown:     http.StatusNotFound,
	registry.CodeUnauthorized:    http.StatusUnauthorized,
	registry.CodeDenied:          http.StatusForbidden,
	registry.CodeTooManyRequests: http.StatusTooManyRequests,
	registry.CodeUnavailable:     http.StatusServiceUnavailable,
}

// failureWords are the heading and the text for a status.
var failureWords = map[int][2]string{
	http.StatusUnauthorized:       {"Sign in to see this", "This page is not public. Sign in with an account of this hub that may see it."},
	http.StatusForbidden:          {"You may not see this", "Your account has no access to this page. Whoever runs this hub can give it to you."},
	http.StatusNotFound:           {"Nothing is here", "There is no page at this address. The model or the version may have been deleted, or its name is spelled differently."},
	http.StatusMethodNotAllowed:   {"Not possible here", "This page can only be read."},
	http.StatusTooManyRequests:    {"Too many requests", "Wait a moment, then try again."},
	http.StatusServiceUnavailable: {"Not available right now", "The hub cannot reach its storage. Try again in a moment."},
}

// Error answers with the page of an error: an error of the registry, of
// package auth or of echo. Everything else has status 500 and goes to the log.
func (h *Handler) Error(c echo.Context, err error) error {
	if c.Response().Committed {
		return err
	}
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		return err // nobody is there to read a page
	}
	status := statusOf(err)
	words, ok := failureWords[status]
	if !ok {
		words = [2]string{"Something went wrong", "The hub could not make this page. The error has been logged."}
	}
	p := failure{
		page: h.newPage(c, words[0]), Status: status, Heading: words[0], Text: words[1],
		Request: c.Response().Header().Get(echo.HeaderXRequestID),
	}
	p.NoIndex = true
	if status >= http.StatusInternalServerError {
		h.log.LogAttrs(c.Request().Context(), slog.LevelError, "page failed",
			slog.String("path", c.Request().URL.Path), slog.Int("status", status),
			slog.String("request_id", p.Request), slog.Any("error", err))
	}
	if status == http.StatusUnauthorized && h.challenge != "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, h.challenge)
	}
	return h.render(c, status, h.pages.failure, p)
}

// ErrorPage is Error for errors outside the pages, of which only the status
// is known: package server calls it for addresses that no route has.
func (h *Handler) ErrorPage(c echo.Context, status int, message string) error {
	return h.Error(c, echo.NewHTTPError(status, message))
}

func statusOf(err error) int {
	var coded *registry.Error
	var fromEcho *echo.HTTPError
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, auth.ErrDenied):
		return http.StatusForbidden
	case errors.As(err, &coded):
		if status, ok := codeStatus[coded.Code]; ok {
			return status
		}
	case errors.As(err, &fromEcho):
		return fromEcho.Code
	}
	return http.StatusInternalServerError
}
