package term

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/licenses/lineage"
)

// ErrQuestion says that a question is not of its form.
var ErrQuestion = errors.New("no question about terms")

// mostAmount bounds the number of users and the revenue of a question.
const mostAmount = 1e15

// ParseQuestion reads a question from the parameters of a query. Facts that
// are not given are not known. Errors: ErrQuestion.
func ParseQuestion(values url.Values) (Question, error) {
	var q Question
	var errs []error
	flag := func(name string) bool {
		s := values.Get(name)
		if s == "" {
			return false
		}
		b, err := strconv.ParseBool(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s is true or false", ErrQuestion, name))
		}
		return b
	}
	amount := func(name string) *int64 {
		s := values.Get(name)
		if s == "" {
			return nil
		}
		n, err := ParseAmount(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %w", ErrQuestion, name, err))
		}
		return &n
	}
	if values.Has("commercial") {
		q.Commercial = new(flag("commercial"))
	}
	q.MonthlyUsers, q.AnnualRevenue = amount("monthlyUsers"), amount("annualRevenue")
	q.Currency, q.Country, q.Purpose = strings.ToUpper(values.Get("currency")), strings.ToUpper(values.Get("country")), values.Get("purpose")
	switch q.Modality = lineage.Modality(values.Get("modality")); q.Modality {
	case lineage.ModalityUnknown, lineage.ModalityText, lineage.Multimodal:
	default:
		errs = append(errs, fmt.Errorf("%w: modality is %s or %s", ErrQuestion, lineage.ModalityText, lineage.Multimodal))
	}
	q.Derive, q.Redistribute, q.Host, q.TrainOnOutputs = flag("derive"), flag("redistribute"), flag("host"), flag("trainOnOutputs")
	return q, errors.Join(errs...)
}

// Values are the parameters that ParseQuestion reads.
func (q *Question) Values() url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Commercial != nil {
		set("commercial", strconv.FormatBool(*q.Commercial))
	}
	for name, n := range map[string]*int64{"monthlyUsers": q.MonthlyUsers, "annualRevenue": q.AnnualRevenue} {
		if n != nil {
			set(name, strconv.FormatInt(*n, 10))
		}
	}
	set("currency", q.Currency)
	set("country", q.Country)
	set("purpose", q.Purpose)
	set("modality", string(q.Modality))
	for name, on := range map[string]bool{"derive": q.Derive, "redistribute": q.Redistribute, "host": q.Host, "trainOnOutputs": q.TrainOnOutputs} {
		if on {
			set(name, "true")
		}
	}
	return values
}

// ParseAmount reads a number of people or an amount of money: "700000000", "7e8".
func ParseAmount(s string) (int64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= mostAmount) {
		return 0, fmt.Errorf("%q is no number from 0 to %g", s, float64(mostAmount))
	}
	return int64(f), nil
}
