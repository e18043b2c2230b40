package check

import "github.com/carat-hub/carat/inference"

// graphOf returns what is shown of an ONNX graph: the version of the standard
// operators, inputs and outputs, the first few of each.
func graphOf(f *inference.Facts) (opset int64, inputs, outputs []string) {
	if f.Graph == nil {
		return 0, nil, nil
	}
	for _, o := range f.Graph.Opsets {
		if o.Domain == "ai.onnx" {
			opset = max(opset, o.Version)
		}
	}
	values := func(list []inference.ValueFact) (named []string) {
		for _, v := range list {
			named = addNamed(named, storable(v.Name+" "+v.Type))
		}
		return named
	}
	return opset, values(f.Graph.Inputs), values(f.Graph.Outputs)
}

// importsOf names what unpickling would import beside the names that tensors
// need, the first few.
func importsOf(f *inference.Facts) []string {
	var names []string
	for _, g := range f.Globals {
		if !g.Known {
			names = addNamed(names, storable(g.Name))
		}
	}
	return names
}
