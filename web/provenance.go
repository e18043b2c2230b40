package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
)

// provenancePage is the tab of what is signed of a version.
type provenancePage struct {
	modelPage
	Root     string // of the files, "" when not known
	Rows     []evidenceRow
	Complete bool
}

// evidenceRow is one signed document.
type evidenceRow struct {
	registry.Evidence
	Title string
	Word  string // of its state
	Class string // of its state, as the style has it
	Made  moment
	Key   registry.Digest // id of the key, which has the form of a digest
}

func (h *Handler) provenancePage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	found, err := h.models.Provenance(c.Request().Context(), s.grant, &s.version)
	if err != nil {
		return err
	}
	p := provenancePage{modelPage: h.modelPage(c, s, tabProvenance), Root: found.Root, Complete: found.Complete}
	for _, e := range found.Evidence {
		row := evidenceRow{Evidence: e, Title: evidenceTitle(e.Kind)}
		row.Word, row.Class = evidenceWord(e.State)
		if !e.Time.IsZero() {
			row.Made = h.moment(e.Time)
		}
		if e.Signer != nil {
			if id, err := registry.ParseDigest(e.Signer.KeyID); err == nil {
				row.Key = id
			}
		}
		p.Rows = append(p.Rows, row)
	}
	return h.render(c, http.StatusOK, h.pages.provenance, p)
}

func evidenceTitle(k registry.EvidenceKind) string {
	switch k {
	case registry.ModelSignature:
		return "Signature of the files (OpenSSF Model Signing)"
	case registry.SLSAProvenance:
		return "How it was made (SLSA provenance)"
	case registry.VerdictSummary:
		return "What a verifier found (SLSA verification summary)"
	case registry.CosignSignature:
		return "Signature by cosign"
	case registry.NotationSignature:
		return "Signature by notation"
	case registry.OtherStatement:
	}
	return "Another statement"
}

// evidenceWord is a state as people read it, and the class of its badge.
func evidenceWord(s registry.EvidenceState) (word, class string) {
	switch s {
	case registry.EvidenceVerified:
		return "Verified", "passed"
	case registry.EvidenceInvalid:
		return "Invalid", "failed"
	case registry.EvidenceUnverified:
	}
	return "Unverified", "none"
}
