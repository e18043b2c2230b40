package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// Versions are the hub's model records; *registry.Registry gives them out.
type Versions interface {
	Version(ctx context.Context, g auth.Grant, ref registry.Reference) (registry.Version, error)
	// Versions lists the versions of a model, newest first.
	Versions(ctx context.Context, g auth.Grant) ([]registry.Version, error)
	Visibility(ctx context.Context, n registry.Name) (v auth.Visibility, exists bool, err error)
	SaveFacts(ctx context.Context, g auth.Grant, d registry.Digest, facts *registry.Facts, problem string) error
}

// ServiceOptions are what a Service is made of. All up to Source are required.
type ServiceOptions struct {
	Versions  Versions
	Publisher Publisher
	Attester  Attester
	Checks    Checks
	Store     Store
	Source    Source

	Fingerprints Fingerprints // where relatives are searched; nil for no search
	Recorder     *Recorder    // what publishes summaries; nil for none

	Logger  *slog.Logger     // default: slog.Default()
	Now     func() time.Time // default: time.Now
	Version string           // of the program, for reports
	Level   Level            // default: LevelStandard
	Threads int              // default: all cores
	Timeout time.Duration    // of one verification; default 30 minutes
	// Memory is how many bytes the verifications of this process may take
	// together, as their files tell; 0 for no limit. One that is larger runs
	// alone.
	Memory int64
	// WatchEvery is how often a verification that runs is looked up, to end it
	// when it was cancelled; default 2 seconds.
	WatchEvery time.Duration
}

// Service inspects and verifies versions in the hub. Its methods are
// idempotent; jobs call them.
type Service struct {
	o    ServiceOptions
	room *room
}

// NewService returns a service.
func NewService(o ServiceOptions) *Service {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.WatchEvery <= 0 {
		o.WatchEvery = 2 * time.Second
	}
	return &Service{o, newRoom(o.Memory)}
}

// Inspect reads the facts of a version and stores them. An error asks for
// another attempt, unless last is set: then it is also stored.
func (s *Service) Inspect(ctx context.Context, n registry.Name, d registry.Digest, last bool) error {
	v, err := s.version(ctx, n, d)
	if err != nil || v == nil {
		return err
	}
	facts, err := s.inspect(ctx, *v)
	var broken *ContentError
	switch {
	case err == nil:
		if err := s.saveFacts(ctx, n, d, facts, ""); err != nil {
			return err
		}
		s.summarize(ctx, n, d)
		return nil
	case errors.As(err, &broken):
		return s.saveFacts(ctx, n, d, facts, broken.Error())
	case last && ctx.Err() == nil:
		return errors.Join(err, s.saveFacts(ctx, n, d, nil, "the files could not be read"))
	}
	return err
}

// AbandonInspection stores that the facts of a version were not found, because
// the inspection ended its worker each time.
func (s *Service) AbandonInspection(ctx context.Context, n registry.Name, d registry.Digest, attempts int) error {
	return s.saveFacts(ctx, n, d, nil, fmt.Sprintf("the inspection did not survive %d attempts", attempts))
}

func (s *Service) inspect(ctx context.Context, v registry.Version) (*registry.Facts, error) {
	files, err := s.o.Source.ForInspection(ctx, v)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	return s.o.Checks.Inspect(ctx, files)
}

func (s *Service) saveFacts(ctx context.Context, n registry.Name, d registry.Digest, facts *registry.Facts, problem string) error {
	err := s.o.Versions.SaveFacts(ctx, auth.System(string(n), auth.Push), d, facts, problem)
	return unlessGone(err)
}

// version returns the model record, nil when the version is gone.
func (s *Service) version(ctx context.Context, n registry.Name, d registry.Digest) (*registry.Version, error) {
	v, err := s.o.Versions.Version(ctx, auth.System(string(n), auth.Pull), registry.Reference{Digest: d})
	if err != nil {
		return nil, unlessGone(err)
	}
	return &v, nil
}

// Verify does one verification, stores its progress and its report, and
// pushes the report as a referrer. An error asks for another attempt, unless
// last is set: then the verification ends in StateError. One that was
// cancelled or is gone with its version ends without a word. ErrNoRoom says
// that it has not begun, which is no attempt.
func (s *Service) Verify(ctx context.Context, w Work, last bool) error {
	v, err := s.version(ctx, w.Name, w.Digest)
	if err != nil || v == nil {
		return err
	}
	report, done, err := s.stored(ctx, w)
	if done || err != nil {
		return err
	}
	if report == nil {
		if err := s.complete(ctx, w, *v, last); err != nil {
			if errors.Is(err, errEnded) {
				return nil
			}
			return err
		}
		// What is published is what was stored, so that an attempt after a crash
		// publishes the same bytes again and not a second report.
		if report, done, err = s.stored(ctx, w); done || err != nil {
			return err
		}
	}
	if report == nil {
		return fmt.Errorf("verify %s@%s: the stored report is not complete", w.Name, w.Digest)
	}
	published, perr := Publish(ctx, s.o.Publisher, s.o.Attester, w.Name, w.Digest, report)
	if perr != nil && !last {
		return unlessGone(perr)
	}
	err = errors.Join(unlessGone(perr), unlessGone(s.o.Store.FinishVerification(ctx, w.Verification, report, published)))
	if err == nil {
		s.summarize(ctx, w.Name, w.Digest)
	}
	return err
}

// summarize publishes a summary where all is there for one. A verification is
// what it is without it too, so that a failure is only logged.
func (s *Service) summarize(ctx context.Context, n registry.Name, d registry.Digest) {
	if s.o.Recorder == nil {
		return
	}
	if err := s.o.Recorder.Summarize(ctx, n, d); err != nil {
		s.o.Logger.WarnContext(ctx, "the summary of a verification was not published", slog.String("name", string(n)), slog.String("digest", d.String()), slog.Any("error", err))
	}
}

// stored returns the complete report of a verification that has still to be
// published, nil when there is none yet. done says that nothing is left to do:
// the verification has ended or is gone.
func (s *Service) stored(ctx context.Context, w Work) (report *Report, done bool, err error) {
	id := w.Verification
	newest, err := s.o.Store.Verification(ctx, w.Name, w.Digest)
	switch {
	case err != nil:
		return nil, registry.IsCode(err, registry.CodeManifestUnknown), unlessGone(err)
	case newest.ID > id: // asked for when this one had ended
		return nil, true, nil
	case newest.ID == id && newest.State.Done():
		return nil, true, nil
	case newest.ID == id && newest.Report != nil && newest.Report.State.Done():
		return newest.Report, false, nil
	}
	return nil, false, nil
}

// progressEvery is how far apart progress is stored, at least.
const progressEvery = 200 * time.Millisecond

// errEnded is the cause with which a verification stops that was cancelled or
// is gone with its version.
var errEnded = errors.New("the verification was cancelled")

// complete verifies the files and stores the complete report. It waits for
// room first, for the model and its bases.
func (s *Service) complete(ctx context.Context, w Work, v registry.Version, last bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { s.watch(ctx, w, cancel) })
	defer cancel(nil)
	started := s.o.Now()
	plan, err := s.plan(ctx, v)
	report := ErrorReport(v.Digest, started, "the bases could not be looked up")
	if err == nil {
		leave, noRoom := s.room.enter(ctx, plan.size())
		if noRoom != nil {
			return noRoom
		}
		defer leave()
		report, err = s.run(ctx, w.Verification, v, plan)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("verify %s@%s: %w", v.Name, v.Digest, context.Cause(ctx))
	}
	if err != nil && !last {
		return err
	}
	if err != nil {
		s.o.Logger.ErrorContext(ctx, "verification could not run", slog.String("name", string(v.Name)), slog.String("digest", v.Digest.String()), slog.Any("error", err))
	}
	return unlessGone(s.o.Store.SaveProgress(ctx, w.Verification, report))
}

// watch ends a verification when it was cancelled, or is gone. Until then a
// failure to look it up changes nothing.
func (s *Service) watch(ctx context.Context, w Work, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(s.o.WatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, done, err := s.stored(ctx, w); done && err == nil {
			cancel(errEnded)
			return
		}
	}
}

// run verifies the files. The report is there even with an error, which says
// that trying again may help.
func (s *Service) run(ctx context.Context, id int64, v registry.Version, p plan) (*Report, error) {
	started := s.o.Now()
	var saved time.Time
	progress := func(r *Report) {
		now := s.o.Now()
		if now.Sub(saved) < progressEvery && !r.State.Done() {
			return // the next one tells this too
		}
		saved = now
		// The final report matters; a lost piece of progress does not.
		if err := s.o.Store.SaveProgress(ctx, id, r); err != nil && ctx.Err() == nil {
			s.o.Logger.WarnContext(ctx, "progress of a verification was not saved", slog.Int64("verification", id), slog.Any("error", err))
		}
	}
	opts := RunOptions{Level: s.o.Level, Subject: &v.Digest, Version: s.o.Version, Threads: s.o.Threads, Timeout: s.o.Timeout, Now: s.o.Now, Progress: progress}
	progress(opts.NewReport())
	bases, files, release, err := s.open(ctx, p)
	switch {
	case errors.Is(err, ErrTooLarge): // trying again does not help
		return ErrorReport(v.Digest, started, err.Error()), nil
	case err != nil:
		return ErrorReport(v.Digest, started, "the files could not be fetched"), err
	}
	defer release()
	opts.Bases = bases
	if opts.Previous, err = s.previous(ctx, v); err != nil {
		return ErrorReport(v.Digest, started, "the version before could not be looked up"), err
	}
	opts.Fingerprint = s.o.Fingerprints != nil
	r := s.o.Checks.Verify(ctx, files, opts)
	err = files.Fault()
	for _, b := range opts.Bases {
		err = errors.Join(err, b.Files.Fault())
	}
	if err == nil {
		err = s.search(ctx, v, p.declared, r)
	}
	return r, unlessGone(err)
}

// unlessGone drops the error which says that the version is gone: then there
// is nothing left to do.
func unlessGone(err error) error {
	if registry.IsCode(err, registry.CodeManifestUnknown) {
		return nil
	}
	return err
}
