package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Headers of the API of Hugging Face.
const (
	HeaderErrorCode    = "X-Error-Code"
	HeaderErrorMessage = "X-Error-Message"
	HeaderCommit       = "X-Repo-Commit"
	HeaderLinkedETag   = "X-Linked-Etag"
	HeaderLinkedSize   = "X-Linked-Size"
)

// Codes that the clients of Hugging Face know.
const (
	hfRepository = "RepoNotFound"
	hfRevision   = "RevisionNotFound"
	hfEntry      = "EntryNotFound"
	hfGated      = "GatedRepo"
)

// hfCredentials is the sentence by which the clients tell wrong credentials
// from a model that is not there.
const hfCredentials = "Invalid credentials in Authorization header"

// huggingFace sets the headers by which clients of Hugging Face tell errors
// apart, and returns the body that they read. It changes the status where they
// expect another one: a model that somebody may not see is not there.
func huggingFace(f *failure, err error, h http.Header) []byte {
	var (
		consent *registry.ConsentError
		gate    *registry.GateError
		lineage *registry.LineageError
		rules   *registry.PolicyError
		code    string
	)
	switch {
	case errors.As(err, &consent):
		code = hfGated
	case errors.As(err, &gate), errors.As(err, &lineage), errors.As(err, &rules):
		// A plain 401 is read as a model that is not there.
		f.status = http.StatusForbidden
	case f.body.Code == registry.CodeManifestUnknown:
		code, f.body.Message = hfRevision, "there is no such version of this model"
	case f.body.Code == CodeFileUnknown:
		code = hfEntry
	case errors.Is(err, auth.ErrCredentials):
		f.body.Message = hfCredentials
	case errors.Is(err, auth.ErrUnauthenticated):
		code, f.body.Message = hfRepository, "there is no such model, or not for you; a token may help (HF_TOKEN)"
	case f.body.Code == registry.CodeNameUnknown, f.body.Code == registry.CodeNameInvalid, errors.Is(err, auth.ErrDenied):
		code, f.status, f.body.Message = hfRepository, http.StatusNotFound, "there is no such model, or not for you"
	}
	if code != "" {
		h.Set(HeaderErrorCode, code)
	}
	h.Set(HeaderErrorMessage, strings.Join(strings.Fields(f.body.Message), " "))
	text, _ := json.Marshal(map[string]string{"error": f.body.Message}) // strings can be encoded
	return append(text, '\n')
}
