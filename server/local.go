package server

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

// Local returns a handler for a program that has the hub's database itself: it
// asks for no credentials and serves all requests as those of the hub. It must
// never listen anywhere.
func Local(sets ...Routes) http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		f := explain(err, areaAPI, "")
		if f.status == http.StatusInternalServerError {
			f.body.Message = err.Error() // there is no log, and nobody else sees it
		}
		_ = c.Blob(f.status, echo.MIMEApplicationJSON, encodeFailure(f))
	}
	for _, set := range sets {
		set.Register(e)
	}
	operator := auth.System("", auth.Operate).Principal()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{area: areaAPI, principal: operator}
		e.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
	})
}
