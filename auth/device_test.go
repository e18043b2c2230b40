package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestUserCodes(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"BCDF-GHJK": "BCDFGHJK", " bcdf ghjk ": "BCDFGHJK", "bcdfghjk": "BCDFGHJK", "": "", "BCDF-GHJ": "", "BCDF-GHJKL": "", "BCDA-GHJK": "", "BCDF-GHJ\u00e9": "", strings.Repeat("B", 1000): "",
	} {
		if got := auth.NormalUserCode(typed); got != want {
			t.Errorf("%q is read as %q, want %q", typed, got, want)
		}
	}
	if got := auth.ShownUserCode("BCDFGHJK"); got != "BCDF-GHJK" {
		t.Errorf("shown as %q", got)
	}
}

// devices is an auth.DeviceStore of one sign-in.
type devices struct {
	d     auth.DeviceSignIn
	hash  []byte
	there bool
	taken int // codes that are found to be another's first
}

func (s *devices) CreateDeviceSignIn(_ context.Context, d auth.DeviceSignIn, hash []byte, _ time.Time) error {
	s.d, s.hash, s.there = d, hash, true
	return nil
}

func (s *devices) DeviceSignIn(_ context.Context, code string) (auth.DeviceSignIn, error) {
	if s.taken > 0 {
		s.taken--
		return s.d, nil
	}
	if !s.there || code != s.d.UserCode {
		return auth.DeviceSignIn{}, auth.ErrUnknownToken
	}
	return s.d, nil
}

func (s *devices) AnswerDeviceSignIn(_ context.Context, _ string, user int64, state auth.DeviceState) error {
	s.d.UserID, s.d.State = user, state
	return nil
}

func (s *devices) PollDeviceSignIn(_ context.Context, hash []byte, at time.Time) (auth.DeviceSignIn, auth.User, error) {
	if !s.there || !slices.Equal(hash, s.hash) {
		return auth.DeviceSignIn{}, auth.User{}, auth.ErrUnknownToken
	}
	was := s.d
	s.d.PolledAt = at
	s.there = was.State == auth.DevicePending
	return was, auth.User{ID: was.UserID, Name: "ada"}, nil
}

func TestDeviceSignIn(t *testing.T) {
	t.Parallel()
	ctx, now := t.Context(), time.Unix(1e9, 0)
	s := &devices{taken: 2}
	secret, code, err := auth.NewDeviceSignIn(ctx, s, "prog\x1bram", "192.0.2.7", now)
	if err != nil || len(code) != 9 || s.d.ClientID != "prog_ram" {
		t.Fatalf("%q %+v %v", code, s.d, err)
	}
	finish := func(secret string, want error) {
		t.Helper()
		_, u, err := auth.FinishDevice(ctx, s, secret, now)
		if !errors.Is(err, want) || (err == nil) != (u.Name == "ada") {
			t.Errorf("%v, %+v, want %v", err, u, want)
		}
	}
	now = now.Add(auth.DeviceInterval)
	finish(secret, auth.ErrDevicePending)
	now = now.Add(time.Second)
	finish(secret, auth.ErrDeviceTooFast)
	now = now.Add(auth.DeviceInterval)
	finish(secret, auth.ErrDevicePending)
	finish(secret+"x", auth.ErrDeviceExpired)
	finish("", auth.ErrDeviceExpired)
	if d, err := auth.PendingDevice(ctx, s, strings.ToLower(code), now); err != nil || d.Address != "192.0.2.7" {
		t.Errorf("%+v, %v", d, err)
	}
	for _, typed := range []string{"BBBB-BBBB", "x", ""} {
		if _, err := auth.PendingDevice(ctx, s, typed, now); !errors.Is(err, auth.ErrDeviceExpired) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if err := s.AnswerDeviceSignIn(ctx, code, 7, auth.DeviceAllowed); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.PendingDevice(ctx, s, code, now); !errors.Is(err, auth.ErrDeviceExpired) {
		t.Errorf("answered: %v", err)
	}
	finish(secret, nil)
	finish(secret, auth.ErrDeviceExpired) // it is good once

	secret, _, err = auth.NewDeviceSignIn(ctx, s, "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	s.d.State = auth.DeviceDenied
	finish(secret, auth.ErrDeviceRefused)
	secret, code, err = auth.NewDeviceSignIn(ctx, s, "", "", now)
	if err != nil {
		t.Fatal(err)
	}
	s.d.State, s.d.UserID = auth.DeviceAllowed, 7
	now = now.Add(auth.DeviceLife + 1)
	finish(secret, auth.ErrDeviceExpired)
	if _, err := auth.PendingDevice(ctx, s, code, now); !errors.Is(err, auth.ErrDeviceExpired) {
		t.Errorf("too late: %v", err)
	}
}
