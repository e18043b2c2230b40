package openness

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/licenses"
)

func TestDetectData(t *testing.T) {
	t.Parallel()
	card := Card{Path: "README.md", Headings: []string{"Training data", "Publicly available data", "Third-party data"}}
	want := DataInformation{Description: Stored, Public: Stored, ThirdParty: Stored}
	if d := diffData(want, DetectData(nil, card)); d != "" {
		t.Errorf("sections (-want +got):\n%s", d)
	}
	files := []File{{Path: "docs/data_description.md"}, {Path: "public_data.csv"}, {Path: "third-party-data.txt"}}
	if d := diffData(want, DetectData(files, Card{})); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	card.Headings = []string{"Training", "Data", "No public data is used", "How we licensed data scientists"}
	if d := diffData(DataInformation{}, DetectData([]File{{Path: "data.csv"}, {Path: "publications.md"}}, card)); d != "" {
		t.Errorf("something else (-want +got):\n%s", d)
	}
}

func diffData(want, got DataInformation) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b licenses.Expression) bool { return a.String() == b.String() }))
}
