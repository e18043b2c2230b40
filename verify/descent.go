package verify

import "encoding/json"

// Descent is what a report says of one declared base.
type Descent struct {
	Base     string
	Relation string // declared: "quantized", "finetune", "adapter", "merge", or ""
	Verdict  string // "confirmed", "consistent", "contradicted", "unknown"
}

// Descents lists what the checks of lineage found, in the order of their
// results.
func (r *Report) Descents() []Descent {
	var list []Descent
	for _, x := range r.Results {
		var ev struct {
			Bases []struct {
				Name     string `json:"name"`
				Relation string `json:"relation"`
				Verdict  string `json:"verdict"`
			} `json:"bases"`
			Base    string   `json:"base"`
			Absent  []string `json:"absent"`
			Verdict string   `json:"verdict"`
		}
		switch x.ID {
		case "lineage.base", "lineage.adapter", "lineage.merge":
			if json.Unmarshal(x.Evidence, &ev) != nil {
				continue
			}
		default:
			continue
		}
		if x.ID == "lineage.adapter" && ev.Base != "" {
			list = append(list, Descent{ev.Base, "adapter", ev.Verdict})
		}
		for _, b := range ev.Bases {
			if x.ID == "lineage.merge" {
				b.Relation, b.Verdict = "merge", ev.Verdict
			}
			list = append(list, Descent{b.Name, b.Relation, b.Verdict})
		}
		for _, name := range ev.Absent {
			list = append(list, Descent{name, "merge", ev.Verdict})
		}
	}
	return list
}
