package web

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// failure is the page of an error.
type failure struct {
	page
	Status  int
	Heading string
	Text    string
	Request string // id of the request, as the log has it
	Next    string // where to come back to after signing in, "" when that would not help
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

// ErrorPage answers with the page of an error. Where the status alone does
// not tell what to do, the page shows the message. The id of the request is
// taken from the answer's X-Request-Id.
func (h *Handler) ErrorPage(c echo.Context, status int, message string) error {
	words, ok := failureWords[status]
	switch {
	case ok:
	case status >= http.StatusInternalServerError:
		words = [2]string{"Something went wrong", "The hub could not make this page. Its log has the reason under the id below."}
	default:
		words = [2]string{"This request cannot be answered", message}
	}
	p := failure{
		page: h.newPage(c, words[0]), Status: status, Heading: words[0], Text: words[1],
		Request: c.Response().Header().Get(echo.HeaderXRequestID),
	}
	p.NoIndex = true
	if status == http.StatusNotFound && h.principal(c).Anonymous() {
		p.Next = c.Request().URL.Path
	}
	return h.render(c, status, h.pages.failure, p)
}
