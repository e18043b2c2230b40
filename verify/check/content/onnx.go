package content

import (
	"errors"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/onnx"
)

// standardDomains are the operator sets that every ONNX runtime has, or one that is widely used.
var standardDomains = []string{
	"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft",
	"com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc", "pkg.onnxscript.torch_lib",
	"pkg.onnxscript.torch_lib.common",
}

// onnx looks at a file that begins like an ONNX model: the version of the format comes first. Operators that the model neither
// defines itself nor takes from a set that runtimes have need code from elsewhere.
func (l *Looker) onnx(s *source) error {
	if len(s.head) < 4 || s.head[0] != 0x08 || s.head[1] == 0 || s.head[1] > 32 {
		return nil
	}
	m, err := onnx.Read(s, s.size)
	var bad *fault.Malformed
	if errors.As(err, &bad) {
		if strings.Contains(bad.Reason, "below the model's folder") {
			l.report(s.where, "ONNX model", Bad, "%s", bad.Error())
		}
		return nil // most likely no model at all; one that is broken is told by the check of headers
	}
	if err != nil {
		if stated(err) {
			return nil
		}
		return err
	}
	own := map[string]bool{}
	for _, f := range m.Functions {
		own[f.Domain+"."+f.Name] = true
	}
	var custom []string
	for _, o := range m.Operators {
		if name := o.Domain + "." + o.Name; !slices.Contains(standardDomains, o.Domain) && !own[name] && len(custom) < maxImports {
			custom = append(custom, name)
		}
	}
	if len(custom) > 0 {
		l.report(s.where, "ONNX model", Odd, "it needs operators that only other programs' libraries have: %s", strings.Join(custom[:min(5, len(custom))], ", "))
	}
	return nil
}
