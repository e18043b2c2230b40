package term

import (
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuestion(t *testing.T) {
	t.Parallel()
	for _, q := range []Question{
		{},
		{Commercial: ptr(true), MonthlyUsers: ptr(int64(5e6)), Country: "FR", Modality: "multimodal"},
		{Commercial: ptr(false), AnnualRevenue: ptr(int64(0)), Currency: "EUR", Purpose: "research", Derive: true, Redistribute: true, Host: true, TrainOnOutputs: true},
	} {
		got, err := ParseQuestion(q.Values())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	for _, bad := range []string{"commercial=maybe", "monthlyUsers=many", "annualRevenue=-1", "monthlyUsers=NaN", "monthlyUsers=1e16", "host=2", "modality=smell"} {
		values, err := url.ParseQuery(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseQuestion(values); !errors.Is(err, ErrQuestion) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
