package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

// compared is how many elements of each weight are compared below
// verify.LevelFull, which compares all: enough for every judgement, and a
// bounded time for large embeddings.
const compared = 1 << 20

// baseCheck compares the weights with those of the declared bases.
var baseCheck = check{
	id: idBase, level: verify.LevelStandard, after: []string{idHeaders},
	proves: "The weights are those of the declared base, quantized or trained further.",
	about:  func(ctx context.Context, m *model) bool { return len(m.plainBases(ctx)) > 0 },
	run:    compareBases,
}

type basesEvidence struct {
	Bases []baseEvidence `json:"bases"`
}

// baseEvidence is what is found about one declared base. Of a private one it
// has no more than the verdict.
type baseEvidence struct {
	Name     string           `json:"name"`
	Relation string           `json:"relation,omitempty"` // declared
	From     string           `json:"from"`               // what declares it
	Digest   *registry.Digest `json:"digest,omitempty"`   // of the version compared with
	Verdict  lineage.Verdict  `json:"verdict"`
	Reason   string           `json:"reason,omitempty"`

	ByName    bool           `json:"byName,omitempty"` // weights were matched by their names alone
	Matrices  int            `json:"matrices,omitempty"`
	Vectors   int            `json:"vectors,omitempty"`
	Elements  int64          `json:"elements,omitempty"` // compared
	Equal     int            `json:"equal,omitempty"`    // weights that are the same in all elements compared
	Explained int            `json:"explained,omitempty"`
	Cosine    float64        `json:"cosine,omitempty"`  // median over matrices
	Lowest    float64        `json:"lowest,omitempty"`  // cosine of a matrix
	Error     float64        `json:"error,omitempty"`   // median over matrices
	Highest   float64        `json:"highest,omitempty"` // error of a matrix
	Farthest  string         `json:"farthest,omitempty"`
	Resized   []string       `json:"resized,omitempty"` // other number of tokens
	Added     []string       `json:"added,omitempty"`   // the first few
	Missing   []string       `json:"missing,omitempty"` // the first few
	Types     []typeEvidence `json:"types,omitempty"`
}

type typeEvidence struct {
	Type     string  `json:"type"`
	Matrices int     `json:"matrices"`
	Error    float64 `json:"error"`   // median
	Highest  float64 `json:"highest"` // of one matrix
	Limit    float64 `json:"limit"`   // what the types explain
}

// declaredBases lists the bases that card and files declare. f may be nil.
func declaredBases(c registry.Card, f *inference.Facts) []registry.DeclaredBase {
	adapter, gguf := "", []string(nil)
	if f != nil {
		gguf = f.BaseModels
		if f.Adapter != nil {
			adapter = f.Adapter.Base
		}
	}
	list := verify.JoinBases(c, adapter, gguf)
	for i := range list {
		list[i].Name = storable(list[i].Name)
	}
	return list
}

// bases lists what the model declares, and what the caller wants it compared
// with besides. What is wrong with headers or card is
// for other checks to say.
func (m *model) bases(ctx context.Context) []registry.DeclaredBase {
	if m.origins != nil {
		return slices.Clone(*m.origins)
	}
	f, err := m.facts(ctx)
	if err != nil {
		f = nil
	}
	c, err := readCard(m.files)
	if err != nil {
		c = registry.Card{}
	}
	list := declaredBases(c, f)
	for _, b := range m.opts.Bases {
		if !slices.ContainsFunc(list, func(d registry.DeclaredBase) bool { return registry.SameBase(d.Name, b.Name) }) {
			list = append(list, registry.DeclaredBase{Name: storable(b.Name), From: "caller"})
		}
	}
	m.origins = &list
	return slices.Clone(list)
}

// basesBy lists what is declared in relations of a kind.
func (m *model) basesBy(ctx context.Context, is func(lineage.Relation) bool) []registry.DeclaredBase {
	if m.isAdapter(ctx) {
		return nil
	}
	return slices.DeleteFunc(m.bases(ctx), func(b registry.DeclaredBase) bool { return !is(lineage.Relation(b.Relation)) })
}

// plainBases are those of which a model is a quantization or a fine-tune.
func (m *model) plainBases(ctx context.Context) []registry.DeclaredBase {
	return m.basesBy(ctx, func(r lineage.Relation) bool { return r != lineage.Adapter && r != lineage.Merge })
}

func (m *model) isAdapter(ctx context.Context) bool {
	f, err := m.facts(ctx)
	return err == nil && f.Adapter != nil
}

// base returns what is known of a declared base, nil when it is not here.
func (m *model) base(declared registry.DeclaredBase) *verify.Base {
	i := slices.IndexFunc(m.opts.Bases, func(b verify.Base) bool { return registry.SameBase(b.Name, declared.Name) })
	if i < 0 {
		return nil
	}
	return &m.opts.Bases[i]
}

// extent is how much of a weight is compared.
func (m *model) extent(rows, cols int) lineage.Extent {
	e := lineage.Extent{Rows: rows, Cols: cols, Limit: compared, Threads: m.opts.Threads}
	if m.opts.Level.Has(verify.LevelFull) {
		e.Limit = 0
	}
	return e
}

func compareBases(ctx context.Context, m *model) (finding, error) {
	var ev basesEvidence
	var judgements []lineage.Judgement
	for _, d := range m.plainBases(ctx) {
		one, j, err := m.compareBase(ctx, d)
		if err != nil {
			return finding{}, err
		}
		ev.Bases = append(ev.Bases, one)
		judgements = append(judgements, j)
	}
	return judged(ev, judgements), nil
}

// judged makes one finding of several judgements, by the worst of them.
func judged(ev any, list []lineage.Judgement) finding {
	var contradicted, odd, unknown []string
	for _, j := range list {
		switch {
		case j.Verdict == lineage.Contradicted:
			contradicted = append(contradicted, j.Reason)
		case j.Odd:
			odd = append(odd, j.Reason)
		case j.Verdict == lineage.Unknown:
			unknown = append(unknown, j.Reason)
		}
	}
	switch {
	case len(contradicted) > 0:
		return failed(ev, "%s", listed(contradicted))
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd))
	case len(unknown) == len(list):
		f := excused("%s", listed(unknown))
		f.evidence = ev
		return f
	}
	return passed(ev)
}

// compareBase compares with one declared base.
func (m *model) compareBase(ctx context.Context, d registry.DeclaredBase) (baseEvidence, lineage.Judgement, error) {
	ev := baseEvidence{Name: d.Name, Relation: d.Relation, From: d.From}
	end := func(j lineage.Judgement) (baseEvidence, lineage.Judgement, error) {
		ev.Verdict, ev.Reason = j.Verdict, j.Reason
		return ev, j, nil
	}
	base := m.base(d)
	if j := notHere(d, base); j != nil {
		return end(*j)
	}
	ev.Digest = base.Digest
	c, named, err := m.compare(ctx, base)
	var unreadable *baseError
	switch {
	case errors.As(err, &unreadable):
		return end(lineage.Judgement{Verdict: lineage.Unknown, Reason: unreadable.Error()})
	case err != nil:
		return ev, lineage.Judgement{}, err
	}
	j := lineage.Judge(c, lineage.Relation(d.Relation), d.Name)
	if base.Private {
		return end(discreet(j, d.Name))
	}
	ev.ByName = named
	ev.tell(c)
	return end(j)
}

// notHere is the judgement on a base whose files are not at hand, nil when they are.
func notHere(d registry.DeclaredBase, base *verify.Base) *lineage.Judgement {
	switch {
	case base == nil || len(base.Files) == 0 && base.Problem == "":
		return &lineage.Judgement{Verdict: lineage.Unknown, Reason: fmt.Sprintf("the base %s is not here", d.Name)}
	case len(base.Files) == 0:
		return &lineage.Judgement{Verdict: lineage.Unknown, Reason: fmt.Sprintf("the base %s is not compared with: %s", d.Name, base.Problem)}
	}
	return nil
}

// discreet leaves out of a judgement what it tells of a private base.
func discreet(j lineage.Judgement, name string) lineage.Judgement {
	if j.Reason != "" {
		j.Reason = fmt.Sprintf("descent from %s is %s", name, j.Verdict)
	}
	return j
}

func (ev *baseEvidence) tell(c *lineage.Comparison) {
	s := c.Summary()
	ev.Matrices, ev.Vectors, ev.Elements, ev.Equal, ev.Explained = s.Matrices, s.Vectors, s.Elements, s.Equal, s.Explained
	ev.Cosine, ev.Lowest, ev.Error, ev.Highest, ev.Farthest = rounded(s.Cosine), rounded(s.Lowest), bounded(s.Error), bounded(s.Highest), storable(s.Farthest)
	for _, l := range []struct {
		to   *[]string
		from []string
	}{{&ev.Resized, c.Resized}, {&ev.Added, c.Added}, {&ev.Missing, c.Missing}} {
		for _, role := range l.from {
			*l.to = addNamed(*l.to, storable(role))
		}
	}
	for _, t := range c.Types() {
		ev.Types = append(ev.Types, typeEvidence{storable(t.Type), t.Matrices, bounded(t.Error), bounded(t.Highest), rounded(t.Limit)})
	}
}

// bounded is rounded for errors, which are infinite where nothing is compared with something.
func bounded(v float64) float64 { return rounded(math.Min(v, 1e9)) }

// baseError says why a base cannot be read, which is no fault of the model.
type baseError struct {
	name string
	err  error
}

func (e *baseError) Error() string {
	return fmt.Sprintf("the base %s cannot be read: %v", e.name, storable(e.err.Error()))
}

// ofBase tells what is wrong with a base from failures to read it.
func ofBase(b *verify.Base, err error) error {
	var malformed *fault.Malformed
	if errors.As(err, &malformed) || obstacle(err) != nil {
		if b.Private {
			err = errors.New("it is not in order")
		}
		return &baseError{b.Name, err}
	}
	return err
}

// compare measures how far the weights are from those of a base. named says
// that they were matched by their names.
func (m *model) compare(ctx context.Context, b *verify.Base) (c *lineage.Comparison, named bool, err error) {
	k, err := m.openKin(ctx, []*verify.Base{b})
	if err != nil {
		return nil, false, err
	}
	defer k.close()
	c = &lineage.Comparison{}
	err = k.groups(ctx, func(lists [][]*inference.Weight) error {
		pairs, shapes := c.Match(tensorsOf(lists[0]), tensorsOf(lists[1]))
		for i, at := range pairs {
			mine, theirs := lists[0][at[0]], lists[1][at[1]]
			d, err := lineage.Measure(ctx, mine, theirs, m.extent(shapes[i].Rows, shapes[i].Cols))
			if err != nil {
				return fmt.Errorf("compare %s: %w", storable(mine.Role), err)
			}
			c.Pairs = append(c.Pairs, lineage.Pair{Tensor: shapes[i], BaseType: theirs.DType, Distance: d})
		}
		return nil
	})
	return c, k.readers[0].Named(), err
}

func tensorsOf(list []*inference.Weight) []lineage.Tensor {
	out := make([]lineage.Tensor, len(list))
	for i, w := range list {
		out[i] = lineage.Tensor{Role: w.Role, Type: w.DType, Rows: w.Rows, Cols: w.Cols}
	}
	return out
}
