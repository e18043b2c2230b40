package hub

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var openAPIText []byte

// openAPI is the description of the interface as JSON.
var openAPI = sync.OnceValue(func() []byte {
	var doc map[string]any
	err := yaml.Unmarshal(openAPIText, &doc)
	if err == nil {
		var p []byte
		if p, err = json.Marshal(doc); err == nil {
			return p
		}
	}
	panic(fmt.Sprintf("hub: openapi.yaml: %v", err)) // a test reads the same bytes
})

// openAPIDocument is GET /api/v1/openapi.json.
func (h *Handler) openAPIDocument(c echo.Context) error {
	return send(c, echo.MIMEApplicationJSON, openAPI())
}
