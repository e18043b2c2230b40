package registry

// Limits of the labels of a version.
const (
	maxLabels      = 512
	maxLabelLength = 512 // bytes
)

// Labels are the words by which clients of Hugging Face filter models, there
// called tags: those of the card, library, task, format, architecture,
// languages, and with a prefix the licence ("license:"), bases ("base_model:")
// and datasets ("dataset:"). Each occurs once. The words of all of them but the
// prefixes are among those that ModelQuery.Text finds a model by.
func (f *Facts) Labels() []string {
	labels := []string{}
	if f == nil {
		return labels
	}
	seen := map[string]bool{}
	add := func(prefix string, values ...string) {
		for _, v := range values {
			label := prefix + v
			if v == "" || len(label) > maxLabelLength || len(labels) == maxLabels || seen[label] {
				continue
			}
			seen[label] = true
			labels = append(labels, label)
		}
	}
	c := &f.Card
	add("", c.Library, f.Format, f.Architecture)
	add("", c.Tags...)
	add("", c.Pipeline)
	add("", c.Languages...)
	add("dataset:", c.Datasets...)
	add("base_model:", c.BaseModels...)
	if c.Relation != "" {
		add("base_model:"+c.Relation+":", c.BaseModels...)
	}
	add("license:", c.LicenseID)
	return labels
}
