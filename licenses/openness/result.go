package openness

import "time"

// RuleSet is the version of the rules of this package. It rises when the same
// files or the same input may give another result.
const RuleSet = 2

// Level is a step of the ladder.
type Level int

// The levels.
const (
	Closed      Level = iota // no weights
	Unclear                  // weights, terms that nobody can be sure of
	Restricted               // open weights under known terms that restrict
	Open                     // open weights under open terms
	OpenModel                // class III of the Model Openness Framework
	OpenTools                // class II
	OpenScience              // class I
	OpenSource               // class I, and affirmed Open Source AI
)

var levelNames = [...]string{
	"Closed", "Weights, terms unclear", "Open weights, restricted", "Open weights",
	"Open model (MOF class III)", "Open tooling (MOF class II)", "Open science (MOF class I)", "Open science and Open Source AI",
}

// String returns the level's name.
func (l Level) String() string {
	if l < 0 || int(l) >= len(levelNames) {
		return ""
	}
	return levelNames[l]
}

// Blocker is one thing that keeps a version from the next level.
type Blocker struct {
	Component Component `json:"component,omitempty"` // zero when it is about the release as a whole
	Need      string    `json:"need"`
	Have      string    `json:"have"`
}

// Progress tells how much of a class is there.
type Progress struct {
	Class    Class `json:"class"`
	Have     int   `json:"have"`
	Required int   `json:"required"`
}

// Assessment is the level by one measure of evidence.
type Assessment struct {
	Level    Level      `json:"level"`
	Label    string     `json:"label,omitempty"`    // at Restricted the worst restriction, at Open "permissive" or "copyleft"
	Reasons  []string   `json:"reasons,omitempty"`  // why it is no higher, in words
	Blockers []Blocker  `json:"blockers,omitempty"` // what the next level asks for
	Notices  []string   `json:"notices,omitempty"`  // open licences that were written for another kind of content
	Class    Class      `json:"class"`              // of the framework, by the components alone
	Classes  []Progress `json:"classes"`            // III, II, I
}

// OSAIDState is the state on the axis of the Open Source AI Definition.
type OSAIDState string

// The states.
const (
	OSAIDFails     OSAIDState = "fails"     // a check that a machine can make fails
	OSAIDCandidate OSAIDState = "candidate" // all of them pass; whether the information suffices is a person's judgement
	OSAIDAffirmed  OSAIDState = "affirmed"  // a named reviewer signed that judgement
)

// OSAID is the result on that axis.
type OSAID struct {
	State    OSAIDState `json:"state"`
	Reasons  []string   `json:"reasons,omitempty"`  // why it fails
	Reviewer string     `json:"reviewer,omitempty"` // who affirmed it
	Reason   string     `json:"reason,omitempty"`   // what the reviewer says
	At       time.Time  `json:"at,omitzero"`        // and when
}

// Result is the openness of a version.
type Result struct {
	RuleSet  int        `json:"ruleSet"`
	Input    string     `json:"input"` // SHA-256 of the input, hex
	Claimed  Assessment `json:"claimed"`
	Verified Assessment `json:"verified"`
	OSAID    OSAID      `json:"osaid"`
}
