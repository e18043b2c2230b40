package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
)

func TestDeviceSignIns(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx, start := t.Context(), b.now()
		ada, err := b.CreateUser(ctx, auth.User{Name: "ada", PasswordHash: "h"})
		check(t, err)
		begin := func(code string, at time.Time) {
			t.Helper()
			check(t, b.CreateDeviceSignIn(ctx, auth.DeviceSignIn{UserCode: code, ClientID: "program", Address: "192.0.2.7", CreatedAt: at, PolledAt: at}, []byte("hash of "+code), at.Add(-auth.DeviceLife)))
		}
		begin("one", start)
		begin("two", start)
		got, err := b.DeviceSignIn(ctx, "one")
		check(t, err)
		if got.UserCode != "one" || got.ClientID != "program" || got.Address != "192.0.2.7" || got.State != auth.DevicePending || got.UserID != 0 || !got.CreatedAt.Equal(start) {
			t.Errorf("%+v", got)
		}
		poll := func(code string, state auth.DeviceState, polled time.Time, at time.Time) auth.User {
			t.Helper()
			d, u, err := b.PollDeviceSignIn(ctx, []byte("hash of "+code), at)
			check(t, err)
			if d.State != state || !d.PolledAt.Equal(polled) {
				t.Errorf("%s: %+v", code, d)
			}
			return u
		}
		poll("one", auth.DevicePending, start, start.Add(time.Second))
		poll("one", auth.DevicePending, start.Add(time.Second), start.Add(2*time.Second))
		check(t, b.AnswerDeviceSignIn(ctx, "one", ada.ID, auth.DeviceAllowed))
		if err := b.AnswerDeviceSignIn(ctx, "one", ada.ID, auth.DeviceDenied); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("answered twice: %v", err)
		}
		if u := poll("one", auth.DeviceAllowed, start.Add(2*time.Second), start); u.Name != "ada" || u.Roles["ada"] != auth.Owner {
			t.Errorf("%+v", u)
		}
		if _, _, err := b.PollDeviceSignIn(ctx, []byte("hash of one"), start); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("asked again: %v", err)
		}
		check(t, b.AnswerDeviceSignIn(ctx, "two", ada.ID, auth.DeviceDenied))
		poll("two", auth.DeviceDenied, start, start)
		begin("old", start)
		begin("new", start.Add(auth.DeviceLife+time.Second))
		if _, err := b.DeviceSignIn(ctx, "old"); !errors.Is(err, auth.ErrUnknownToken) {
			t.Errorf("the old one: %v", err)
		}
		for _, err := range []error{second(b.DeviceSignIn(ctx, "none")), b.AnswerDeviceSignIn(ctx, "none", ada.ID, auth.DeviceAllowed)} {
			if !errors.Is(err, auth.ErrUnknownToken) {
				t.Errorf("none: %v", err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
