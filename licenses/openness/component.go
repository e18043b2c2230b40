package openness

import "strings"

// Component is a part of a model's release as the Model Openness Framework
// counts them. The values are the ids that its tool uses.
type Component int

// The components.
const (
	TrainingCode      Component = 7
	InferenceCode     Component = 8
	Architecture      Component = 9
	Parameters        Component = 10 // final weights
	TechnicalReport   Component = 11
	EvaluationResults Component = 12
	ModelCard         Component = 13
	DataCard          Component = 14
	Datasets          Component = 15
	Preprocessing     Component = 16 // code
	Metadata          Component = 17 // training configuration, optimizer states
	EvaluationCode    Component = 18
	EvaluationData    Component = 19
	SampleOutputs     Component = 20
	ResearchPaper     Component = 21
	Libraries         Component = 22
	Checkpoints       Component = 24 // intermediate weights
)

// Type is the kind of content that a component is, by which a licence is
// chosen for it.
type Type string

// The types.
const (
	Code     Type = "code"
	Data     Type = "data"
	Document Type = "document"
)

// Class is a class of the Model Openness Framework. Smaller is more open; a
// class contains those with larger numbers.
type Class int

// The classes.
const (
	NoClass  Class = 0
	ClassI   Class = 1 // open science
	ClassII  Class = 2 // open tooling
	ClassIII Class = 3 // open model
)

// String returns the class as the framework writes it.
func (c Class) String() string {
	switch c {
	case ClassI:
		return "Class I, Open Science"
	case ClassII:
		return "Class II, Open Tooling"
	case ClassIII:
		return "Class III, Open Model"
	}
	return "unclassified"
}

// component is what the framework says of a component.
type component struct {
	id       Component
	name     string // as in the framework's files
	kind     Type
	class    Class // the widest class that asks for it
	optional bool  // never keeps a release from a class
}

// components are all of them, in the order of the framework's classes: what
// the widest class needs stands first.
var components = []component{
	{Architecture, "Model architecture", Code, ClassIII, false},
	{Parameters, "Model parameters (Final)", Data, ClassIII, false},
	{TechnicalReport, "Technical report", Document, ClassIII, false},
	{EvaluationResults, "Evaluation results", Document, ClassIII, false},
	{ModelCard, "Model card", Document, ClassIII, false},
	{DataCard, "Data card", Document, ClassIII, false},
	{SampleOutputs, "Sample model outputs", Document, ClassIII, true},
	{TrainingCode, "Training code", Code, ClassII, false},
	{InferenceCode, "Inference code", Code, ClassII, false},
	{EvaluationCode, "Evaluation code", Code, ClassII, false},
	{EvaluationData, "Evaluation data", Data, ClassII, false},
	{Libraries, "Supporting libraries and tools", Code, ClassII, true},
	{ResearchPaper, "Research paper", Document, ClassI, false},
	{Preprocessing, "Data preprocessing code", Code, ClassI, false},
	{Datasets, "Datasets", Data, ClassI, false},
	{Checkpoints, "Model parameters (Intermediate)", Data, ClassI, false},
	{Metadata, "Model metadata", Data, ClassI, true},
}

func (c Component) describe() (component, bool) {
	for _, d := range components {
		if d.id == c {
			return d, true
		}
	}
	return component{}, false
}

// String returns the component's name in the framework, "" for none.
func (c Component) String() string {
	d, _ := c.describe()
	return d.name
}

// Type returns the kind of content that the component is.
func (c Component) Type() Type {
	d, _ := c.describe()
	return d.kind
}

// Components returns all components.
func Components() []Component {
	list := make([]Component, len(components))
	for i, c := range components {
		list[i] = c.id
	}
	return list
}

// ParseComponent returns the component of that name, in any case of letters.
func ParseComponent(name string) (Component, bool) {
	name = strings.Join(strings.Fields(name), " ")
	for _, c := range components {
		if strings.EqualFold(c.name, name) {
			return c.id, true
		}
	}
	return 0, false
}
