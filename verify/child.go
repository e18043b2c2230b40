package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/sandbox"
)

// Tasks returns what a child process does for Sandboxed: the checks, on what
// it is handed. A program that verifies calls sandbox.Main with them first.
func Tasks(c Checks) map[string]sandbox.Task {
	return map[string]sandbox.Task{
		taskProbe: func(context.Context, sandbox.Input, *sandbox.Output) error { return nil },
		taskVerify: func(ctx context.Context, in sandbox.Input, out *sandbox.Output) error {
			return verifyInChild(ctx, c, in, out)
		},
		taskInspect: func(ctx context.Context, in sandbox.Input, out *sandbox.Output) error {
			return inspectInChild(ctx, c, in, out)
		},
	}
}

func received(in sandbox.Input) (request, Files, error) {
	var r request
	if err := json.Unmarshal(in.Args, &r); err != nil {
		return r, nil, fmt.Errorf("read the request: %w", err)
	}
	files, err := unpack(r.Files, in.Files, in.Ranges)
	return r, files, err
}

func send(out *sandbox.Output, m message) error {
	p, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return out.Send(p)
}

// verifyInChild sends each check as it begins, each result, and the verdict.
func verifyInChild(ctx context.Context, c Checks, in sandbox.Input, out *sandbox.Output) error {
	r, files, err := received(in)
	if err != nil {
		return err
	}
	var lost error
	sent := 0
	tell := func(rep *Report) {
		for ; sent < len(rep.Results) && lost == nil; sent++ {
			lost = send(out, message{Result: &rep.Results[sent]})
		}
		if rep.Current != "" && lost == nil {
			lost = send(out, message{Current: rep.Current})
		}
	}
	// The parent keeps the time.
	o, err := r.options(in.Files, in.Ranges)
	if err != nil {
		return err
	}
	o.Timeout, o.Progress = forever, tell
	rep := c.Verify(ctx, files, o)
	tell(rep)
	if lost != nil {
		return fmt.Errorf("tell what was found: %w", lost)
	}
	return send(out, message{Verdict: &verdict{State: rep.State, Summary: rep.Summary, Files: rep.Files}})
}

// inspectInChild sends the facts, and what is wrong with the files.
func inspectInChild(ctx context.Context, c Checks, in sandbox.Input, out *sandbox.Output) error {
	_, files, err := received(in)
	if err != nil {
		return err
	}
	facts, err := c.Inspect(ctx, files)
	var broken *ContentError
	if err != nil && !errors.As(err, &broken) {
		return err
	}
	if facts != nil {
		p, err := registry.MarshalFacts(facts)
		if err != nil {
			return err
		}
		if err := send(out, message{Facts: p}); err != nil {
			return err
		}
	}
	if broken != nil {
		return send(out, message{Problem: &broken.Reason})
	}
	return nil
}
