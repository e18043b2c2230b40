package registry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	states := []string{"pending", "running", "passed", "failed", "unsupported", "error", ""}
	for _, g := range []Gate{GateOff, GateWarn, GateBlock} {
		for _, state := range states {
			for _, mayPush := range []bool{false, true} {
				for _, free := range []bool{false, true} {
					want := warned
					switch {
					case g == GateOff, state == "passed", free:
						want = admitted
					case g == GateBlock && !mayPush:
						want = refused
					}
					if got := decide(g, Standing{State: state, Free: free}, mayPush); got != want {
						t.Errorf("gate %s, state %q, free %t, may push %t: %d, want %d", g, state, free, mayPush, got, want)
					}
				}
			}
		}
	}
	if decide("", Standing{}, false) != warned {
		t.Error("an unknown gate is taken for none")
	}
}

// gateStore is a store of one manifest that counts what it is asked.
type gateStore struct {
	Store
	gates    map[string]Gate
	standing Standing
	broken   error
	manifest Manifest
	asked    map[string]int
}

func (s *gateStore) LineageGates(context.Context) (map[string]Gate, error) { return nil, nil }

func (s *gateStore) Policies(context.Context) (map[Name]string, error) { return nil, nil }

func (s *gateStore) ConsentGates(context.Context) (map[string]ConsentGate, error) { return nil, nil }

func (s *gateStore) Manifest(context.Context, Name, Reference) (Manifest, error) {
	s.asked["manifest"]++
	return s.manifest, nil
}

func (s *gateStore) Blob(_ context.Context, _ Name, d Digest) (Blob, error) {
	s.asked["blob"]++
	return Blob{Digest: d}, nil
}

func (s *gateStore) Gates(context.Context) (map[string]Gate, error) {
	s.asked["gates"]++
	return s.gates, s.broken
}

func (s *gateStore) SetGate(_ context.Context, org string, g Gate) error {
	s.gates = map[string]Gate{org: g}
	return nil
}

func (s *gateStore) ManifestStanding(context.Context, Name, Digest) (Standing, error) {
	s.asked["standing"]++
	return s.standing, s.broken
}

func (s *gateStore) BlobStanding(context.Context, Name, Digest) (Standing, error) {
	s.asked["standing"]++
	return s.standing, s.broken
}

type gated struct {
	*Registry
	store *gateStore
	now   time.Time
}

func setupGate(hub Gate) *gated {
	d := DigestOf(SHA256, nil)
	b := &gated{now: time.Unix(1, 0), store: &gateStore{
		asked: map[string]int{}, standing: Standing{Digest: d, State: "failed"}, manifest: Manifest{Digest: d, MediaType: MediaTypeOCIManifest},
	}}
	b.Registry = New(Options{Store: b.store, DefaultGate: hub, Clock: func() time.Time { return b.now }})
	return b
}

// pull pulls the manifest and a blob with a grant, and returns what was said.
func (b *gated) pull(t *testing.T, g auth.Grant) (warning *GateError, err error) {
	t.Helper()
	m, err := b.Manifest(t.Context(), g, Reference{Tag: "v1"})
	_, blobErr := b.StatBlob(t.Context(), g, DigestOf(SHA256, nil))
	if fmt.Sprint(err) != fmt.Sprint(blobErr) {
		t.Errorf("the manifest: %v, its blob: %v", err, blobErr)
	}
	return m.Warning, err
}

var (
	admin      = auth.Principal{UserID: 1, Name: "admin", Admin: true}
	pullScope  = auth.Principal{UserID: 1, Name: "admin", Admin: true, Limited: true, Scopes: []auth.Scope{{Type: "repository", Name: "org/m", Actions: []string{"pull"}}}}
	stranger   = auth.Principal{Limited: true} // a token that anybody gets
	otherScope = auth.Principal{UserID: 2, Name: "user", Limited: true, Scopes: []auth.Scope{{Type: "repository", Name: "org/m", Actions: []string{"*"}}}}
)

func grantFor(t *testing.T, p auth.Principal, n Name) auth.Grant {
	t.Helper()
	g, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: string(n), Visibility: auth.Public})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hub, own        Gate
		who             auth.Principal
		warned, refused bool
	}{
		"off":                       {hub: GateOff},
		"off by default":            {},
		"warn":                      {hub: GateWarn, warned: true},
		"block":                     {hub: GateBlock, who: stranger, refused: true},
		"block without credentials": {hub: GateBlock, refused: true},
		"own off":                   {hub: GateBlock, own: GateOff},
		"own block":                 {hub: GateOff, own: GateBlock, who: stranger, refused: true},
		"administrator":             {hub: GateBlock, who: admin, warned: true},
		"administrator's pull":      {hub: GateBlock, who: pullScope, warned: true},
		"a user with a broad token": {hub: GateBlock, who: otherScope, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupGate(tt.hub)
			if tt.own != "" {
				b.store.gates = map[string]Gate{"org": tt.own, "other": GateBlock}
			}
			g := grantFor(t, tt.who, "org/m")
			warning, err := b.pull(t, g)
			code := CodeDenied
			if tt.who.Anonymous() && !tt.who.Limited {
				code = CodeUnauthorized
			}
			if (warning != nil) != tt.warned || IsCode(err, code) != tt.refused || err != nil && !tt.refused ||
				errors.Is(err, auth.ErrUnauthenticated) != (tt.refused && code == CodeUnauthorized) {
				t.Errorf("warning %v, error %v", warning, err)
			}
			var e *GateError
			if tt.refused && (!errors.As(err, &e) || e.State != "failed" || e.Name != "org/m" || e.Digest.IsZero()) {
				t.Errorf("error %v", err)
			}
			b.store.standing.State = StatePassed
			if warning, err := b.pull(t, g); warning != nil || err != nil {
				t.Errorf("after a pass: warning %v, error %v", warning, err)
			}
		})
	}
}

// TestGateCosts counts what a gate asks the database for.
func TestGateCosts(t *testing.T) {
	t.Parallel()
	const pulls = 100
	for hub, standings := range map[Gate]int{GateOff: 0, GateWarn: pulls, GateBlock: 2 * pulls} {
		b := setupGate(hub)
		b.store.standing.State = StatePassed
		g := grantFor(t, auth.Principal{}, "org/m")
		for range pulls {
			if _, err := b.pull(t, g); err != nil {
				t.Fatal(err)
			}
		}
		if got := b.store.asked; got["manifest"] != pulls || got["blob"] != pulls || got["gates"] != 1 || got["standing"] != standings {
			t.Errorf("gate %s: asked %v", hub, got)
		}
		b.now = b.now.Add(gateAge)
		if _, err := b.pull(t, g); err != nil || b.store.asked["gates"] != 2 {
			t.Errorf("gate %s, later: asked %v, %v", hub, b.store.asked, err)
		}
	}
	b := setupGate(GateBlock)
	for _, m := range []Manifest{{MediaType: MediaTypeOCIIndex}, {MediaType: MediaTypeDockerList}, {MediaType: MediaTypeOCIManifest, Subject: DigestOf(SHA256, nil)}} {
		b.store.manifest = m
		if _, err := b.Manifest(t.Context(), grantFor(t, auth.Principal{}, "org/m"), Reference{Tag: "v1"}); err != nil || b.store.asked["standing"] > 0 {
			t.Errorf("%+v: %v, asked %v", m, err, b.store.asked)
		}
	}
}

func TestGateWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := setupGate(GateOff)
	b.store.broken = errors.New("no database")
	if _, err := b.pull(t, grantFor(t, auth.Principal{}, "org/m")); !errors.Is(err, b.store.broken) {
		t.Errorf("gates that cannot be read: %v", err)
	}
	b.store.broken = nil
	if _, err := b.pull(t, grantFor(t, auth.Principal{}, "org/m")); err != nil {
		t.Fatal(err)
	}
	b = setupGate(GateBlock)
	if _, _, err := b.OrgGate(t.Context(), "org"); err != nil {
		t.Fatal(err)
	}
	b.store.broken = errors.New("no database")
	if _, err := b.pull(t, grantFor(t, auth.Principal{}, "org/m")); !errors.Is(err, b.store.broken) {
		t.Errorf("a standing that cannot be read: %v", err)
	}
}

func TestSetOrgGate(t *testing.T) {
	t.Parallel()
	b := setupGate(GateWarn)
	read := func(want Gate, wantOwn bool) {
		t.Helper()
		if g, own, err := b.OrgGate(t.Context(), "org"); err != nil || g != want || own != wantOwn {
			t.Errorf("gate %s, own %t, %v", g, own, err)
		}
	}
	read(GateWarn, false)
	for name, tt := range map[string]struct {
		who  auth.Principal
		org  Name
		gate Gate
	}{
		"anonymous":    {auth.Principal{}, "org", GateOff},
		"user":         {auth.Principal{UserID: 2}, "org", GateOff},
		"scoped token": {pullScope, "org", GateOff},
		"unknown gate": {admin, "org", "open"},
		"no name":      {admin, "", GateOff},
		"a repository": {admin, "org/m", GateOff},
		"no good name": {admin, "ORG", GateOff},
	} {
		if err := b.SetOrgGate(t.Context(), tt.who, tt.org, tt.gate); err == nil {
			t.Errorf("%s: set", name)
		}
	}
	read(GateWarn, false)
	if err := b.SetOrgGate(t.Context(), admin, "org", GateBlock); err != nil {
		t.Fatal(err)
	}
	read(GateBlock, true) // at once on this node
}

func (s *gateStore) CreateRepository(_ context.Context, r Repository) (Repository, error) {
	return r, nil
}

func (s *gateStore) MountBlob(context.Context, Name, Name, Digest) error {
	s.asked["mount"]++
	return nil
}

// TestGateAndMounts: what cannot be pulled cannot be mounted either, and looks
// as if it were not there.
func TestGateAndMounts(t *testing.T) {
	t.Parallel()
	b := setupGate(GateBlock)
	d := DigestOf(SHA256, nil)
	to := auth.System("other/m", auth.Push)
	if err := b.MountBlob(t.Context(), to, grantFor(t, auth.Principal{}, "org/m"), d); !IsCode(err, CodeBlobUnknown) || b.store.asked["mount"] > 0 {
		t.Errorf("a blocked blob: %v, asked %v", err, b.store.asked)
	}
	if err := b.MountBlob(t.Context(), to, grantFor(t, pullScope, "org/m"), d); err != nil {
		t.Errorf("by who may push there: %v", err)
	}
	b.store.standing.State = StatePassed
	if err := b.MountBlob(t.Context(), to, grantFor(t, auth.Principal{}, "org/m"), d); err != nil || b.store.asked["mount"] != 2 {
		t.Errorf("a verified blob: %v, asked %v", err, b.store.asked)
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	for gate, want := range map[Gate]Admission{GateOff: {}, GateWarn: {Warned: true}, GateBlock: {Warned: true, Refused: true}} {
		b := setupGate(gate)
		g := grantFor(t, admin, "org/m") // what others may is told to all
		if got, err := b.Admission(t.Context(), g, b.store.manifest.Digest); err != nil || got != want {
			t.Errorf("gate %s: %+v, %v", gate, got, err)
		}
		b.store.standing.State = StatePassed
		if got, err := b.Admission(t.Context(), g, b.store.manifest.Digest); err != nil || got != (Admission{}) {
			t.Errorf("gate %s after a pass: %+v, %v", gate, got, err)
		}
		if gate == GateOff && b.store.asked["standing"] > 0 {
			t.Error("a gate that is off costs a query")
		}
	}
}
