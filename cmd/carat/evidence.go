package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

// maxKeyFile bounds a file of keys, in bytes.
const maxKeyFile = 1 << 20

// errNoReport says that there is no signed report of a version.
var errNoReport = errors.New("there is no signed verification report of this version")

// trust is what reports are believed on: keys, and where they came from.
type trust struct {
	keys []attestation.Key
	from string
}

// trusted returns the keys that --key names: those in a file, or those that a
// hub gives out at an https:// address. Without --key they are those of the
// reference's own hub, when nobody can come between.
func (e *env) trusted(ctx context.Context, c *client.Client, key, host string) (trust, error) {
	if key == "" {
		hub := c.Hub(host)
		if !hub.Trustworthy() {
			return trust{}, exit(exitUsage, fmt.Errorf("the keys of %s cannot be fetched over plain HTTP; give them with --key", host))
		}
		keys, err := hubKeys(ctx, hub)
		return trust{keys, "published by " + host}, err
	}
	if u, err := url.Parse(key); err == nil && u.Scheme == "https" {
		host, err := client.ParseHost(u.Host)
		if err != nil || strings.Trim(u.Path, "/") != "" && u.Path != "/api/v1/keys" || u.RawQuery != "" {
			return trust{}, exit(exitUsage, fmt.Errorf("--key %s: a hub's keys are at https://HOST/api/v1/keys", key))
		}
		keys, err := hubKeys(ctx, c.Hub(host))
		return trust{keys, "published by " + host}, err
	}
	keys, err := keyFile(key)
	if err != nil {
		return trust{}, exit(exitUsage, fmt.Errorf("--key %s: %w", key, err))
	}
	return trust{keys, "from " + key}, nil
}

// hubKeys returns the keys that a hub publishes.
func hubKeys(ctx context.Context, hub *client.Hub) ([]attestation.Key, error) {
	list, err := hub.Keys(ctx)
	if err != nil {
		return nil, err
	}
	p, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var keys []attestation.Key
	if err := json.Unmarshal(p, &keys); err != nil {
		return nil, fmt.Errorf("read the hub's keys: %w", err)
	}
	return keys, nil
}

// keyFile reads a file of public keys: PEM, or JSON as "carat keys --json"
// prints it.
func keyFile(path string) ([]attestation.Key, error) {
	p, err := readSmall(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(p), []byte("{")) {
		return attestation.ParseKeys(p)
	}
	var list struct {
		Keys []attestation.Key `json:"keys"`
	}
	if err := json.Unmarshal(p, &list); err != nil {
		return nil, err
	}
	if len(list.Keys) == 0 {
		return nil, attestation.ErrKey
	}
	return list.Keys, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(p)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return p, err
}

// attested returns the newest report about a version that is signed by a key
// of t. Reports that are not are told to say, and are otherwise as if they
// were not there: whoever may push could put them beside the true one.
func attested(ctx context.Context, c *client.Client, ref client.Reference, t trust, say func(string)) (*attestation.Attestation, error) {
	list, err := c.Referrers(ctx, ref, registry.ArtifactVerification)
	if err != nil {
		return nil, err
	}
	var newest *attestation.Attestation
	var problems []error
	for _, d := range list {
		a, err := openReferrer(ctx, c, ref, d.Digest, t.keys)
		switch {
		case err == nil && (newest == nil || a.Report.FinishedAt.After(newest.Report.FinishedAt)):
			newest = a
		case err == nil:
		case isEvidence(err) || errors.Is(err, client.ErrDigest) || errors.Is(err, client.ErrIndex):
			problems = append(problems, fmt.Errorf("report %s: %w", d.Digest, err))
		default:
			return nil, err // a connection, not a report: what was not seen may be the newest
		}
	}
	if newest != nil {
		for _, p := range problems {
			say("ignored " + plain(p.Error()))
		}
		return newest, nil
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return nil, fmt.Errorf("%w at %s", errNoReport, ref.Host)
}

// openReferrer fetches one signed report and checks it against its subject.
func openReferrer(ctx context.Context, c *client.Client, ref client.Reference, d registry.Digest, keys []attestation.Key) (*attestation.Attestation, error) {
	a, err := c.Artifact(ctx, ref.Pinned(d))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(a.Layers, func(l client.Descriptor) bool { return l.MediaType == registry.MediaTypeDSSE })
	if i < 0 || a.Layers[i].Size > attestation.MaxEnvelope {
		return nil, fmt.Errorf("%w: it has no envelope", attestation.ErrMalformed)
	}
	p, err := c.Blob(ctx, a, a.Layers[i], attestation.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	return openReport(ctx, p, keys, ref.Digest)
}

func openReport(ctx context.Context, p []byte, keys []attestation.Key, about registry.Digest) (*attestation.Attestation, error) {
	a, err := attestation.Open(ctx, p, keys)
	if err != nil {
		return nil, err
	}
	if err := a.About(about); err != nil {
		return nil, err
	}
	return a, nil
}

// isEvidence reports whether an error is about a report and not about the way
// to it.
func isEvidence(err error) bool {
	return slices.ContainsFunc([]error{
		errNoReport, attestation.ErrMalformed, attestation.ErrPayloadType, attestation.ErrPredicateType, attestation.ErrTooNew,
		attestation.ErrUnknownKey, attestation.ErrSignature, attestation.ErrKeyTime, attestation.ErrSubject,
	}, func(target error) bool { return errors.Is(err, target) })
}

// describeEvidence says in lines what a report is and why it is believed.
func describeEvidence(a *attestation.Attestation, t trust) string {
	r := a.Report
	around := "none"
	if r.Sandbox != nil {
		around = r.Sandbox.Layers.String()
	}
	return fmt.Sprintf("signature  valid, by key %s %s\nsubject    %s\nreport     of %s, level %s, check set %d, by %s\nsandbox    %s\n",
		a.Key.ID, plain(t.from), r.Subject, r.FinishedAt.UTC().Format("2006-01-02 15:04:05Z"), plain(string(r.Level)), r.CheckSet,
		plain(strings.Join([]string{r.Verifier.Name, r.Verifier.Version, r.Verifier.Platform}, " ")), plain(around))
}

// stateExit is the exit code that a report's state stands for.
func stateExit(s verify.State) error {
	switch s {
	case verify.StatePassed:
		return nil
	case verify.StateFailed:
		return exit(exitVerifyFailed, nil)
	}
	return exit(exitVerifyNotRun, nil)
}
