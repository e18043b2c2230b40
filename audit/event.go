package audit

import (
	"context"
	"time"
)

// Action is what was done.
type Action string

// The actions.
const (
	SignIn        Action = "sign-in"        // a password was right
	SignInRefused Action = "sign-in.refuse" // credentials were wrong
	Denied        Action = "deny"           // somebody who is known may not do this
	PullRefused   Action = "pull.refuse"    // by a gate, terms or a policy

	Push           Action = "push"            // of a manifest
	MoveTag        Action = "tag.move"        // to another manifest
	DeleteTag      Action = "tag.delete"      //
	DeleteManifest Action = "manifest.delete" // with the tags on it
	DeleteBlob     Action = "blob.delete"     // out of a repository

	SetVisibility   Action = "visibility.set"
	SetGate         Action = "gate.set"       // of verification or lineage
	SetConsentGate  Action = "terms-gate.set" // terms that have to be accepted
	SetPolicy       Action = "policy.set"
	Waive           Action = "waiver.set"
	Unwaive         Action = "waiver.delete"
	Affirm          Action = "affirmation.set"
	Disaffirm       Action = "affirmation.delete"
	ConfirmText     Action = "license-text.set" // which licence a text is
	ForgetText      Action = "license-text.delete"
	AcceptTerms     Action = "terms.accept"
	DecideTerms     Action = "terms.decide"
	EraseAcceptance Action = "terms.erase"

	SetRole     Action = "role.set" // of a user, a robot or a team
	DropRole    Action = "role.delete"
	CreateOrg   Action = "org.create"
	DescribeOrg Action = "org.describe"
	DeleteOrg   Action = "org.delete"
	CreateTeam  Action = "team.create"
	DeleteTeam  Action = "team.delete"
	JoinTeam    Action = "team.join"
	LeaveTeam   Action = "team.leave"
	CreateRobot Action = "robot.create"
	DeleteRobot Action = "robot.delete" // with its tokens

	CreateUser  Action = "user.create"
	DeleteUser  Action = "user.delete"
	SetPassword Action = "password.set"
	SetAdmin    Action = "admin.set"
	CreateToken Action = "token.create"
	RevokeToken Action = "token.revoke"
	RotateKey   Action = "key.rotate"       // of reports
	RotateToken Action = "token-key.rotate" // of what signs tokens
	AddSSHKey   Action = "ssh-key.add"
	DropSSHKey  Action = "ssh-key.delete"
	SignOut     Action = "sign-out" // of all programs
)

// System is the actor of what the hub does itself.
const System = "carat"

// Actor is who did something, and from where.
type Actor struct {
	UserID  int64  `json:"userId,omitempty"`  // 0 for who is not signed in
	Name    string `json:"actor"`             // "" for who is not signed in, System for the hub
	Address string `json:"address,omitempty"` // of the client
	Request string `json:"request,omitempty"` // id, as in the access log
}

// Event is something that happened.
type Event struct {
	At     time.Time `json:"at"` // to the microsecond, UTC
	Action Action    `json:"action"`
	Actor
	Repository string            `json:"repository,omitempty"` // or the organization, for what is about one
	Digest     string            `json:"digest,omitempty"`
	Tag        string            `json:"tag,omitempty"`
	Detail     map[string]string `json:"detail,omitempty"`
	Count      int               `json:"count,omitempty"` // how often, for what is counted
}

type actorKey struct{}

// WithActor returns a context in which an actor does what is done. The actor
// may be completed until something is done.
func WithActor(ctx context.Context, a *Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who acts in a context; the hub itself unless it says otherwise.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(*Actor); ok {
		return *a
	}
	return Actor{Name: System}
}
