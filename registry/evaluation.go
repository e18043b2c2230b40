package registry

import "go.yaml.in/yaml/v4"

// maxEvaluations is how many results of a card are kept.
const maxEvaluations = 256

// Evaluation is one result that a card states in its model-index; untrusted.
type Evaluation struct {
	Task    string `json:"task,omitempty"`    // task.type, "text-generation"
	Dataset string `json:"dataset,omitempty"` // dataset.name, else dataset.type
	Metric  string `json:"metric"`            // metrics.type, else metrics.name
	Value   string `json:"value"`             // as written
}

// readEvaluations reads a model-index: models with results, each of a task on
// a dataset by several metrics. What has no metric or no single value is left out.
func (c *Card) readEvaluations(index *yaml.Node) {
	for _, model := range sequence(index) {
		for _, result := range sequence(member(model, "results")) {
			task, dataset := member(result, "task"), member(result, "dataset")
			e := Evaluation{Task: c.member(task, "type"), Dataset: c.member(dataset, "name")}
			if e.Dataset == "" {
				e.Dataset = c.member(dataset, "type")
			}
			for _, m := range sequence(member(result, "metrics")) {
				if e.Metric, e.Value = c.member(m, "type"), c.member(m, "value"); e.Metric == "" {
					e.Metric = c.member(m, "name")
				}
				if e.Metric == "" || e.Value == "" {
					continue
				}
				if len(c.Evaluations) == maxEvaluations {
					c.problem("model-index has more results; the first %d are kept", maxEvaluations)
					return
				}
				c.Evaluations = append(c.Evaluations, e)
			}
		}
	}
}

// member returns a key's text, "" when it is none.
func (c *Card) member(n *yaml.Node, key string) string {
	v := member(n, key)
	if v == nil || v.Kind != yaml.ScalarNode || isNull(v) {
		return ""
	}
	return c.entry("model-index", v.Value)
}

// member returns the value of a mapping's key, nil when there is none.
func member(n *yaml.Node, key string) *yaml.Node {
	if n = deref(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return deref(n.Content[i+1])
		}
	}
	return nil
}

// sequence returns the entries of a list, none of anything else.
func sequence(n *yaml.Node) []*yaml.Node {
	if n = deref(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}
