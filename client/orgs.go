package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Org is an organization as the hub tells it.
type Org struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	User        string    `json:"user,omitempty"` // whose own name space it is
	Role        string    `json:"role,omitempty"` // of who asks
	CreatedAt   time.Time `json:"createdAt"`
}

// Member is a user or a robot with a role.
type Member struct {
	User string `json:"user"`
	Role string `json:"role"` // "reader", "writer", "maintainer" or "owner"
}

// Team is a set of users who have roles together.
type Team struct {
	Name      string     `json:"name"`
	Members   []string   `json:"members"`
	Roles     []TeamRole `json:"roles"`
	CreatedAt time.Time  `json:"createdAt"`
}

// TeamRole is the role of a team in an organization or a model.
type TeamRole struct {
	Scope string `json:"scope"`
	Role  string `json:"role"`
}

// Robot is an account of an organization for programs.
type Robot struct {
	Name      string            `json:"name"` // in the organization
	User      string            `json:"user"` // org+name
	Roles     map[string]string `json:"roles"`
	Tokens    []AccessToken     `json:"tokens"`
	CreatedAt time.Time         `json:"createdAt"`
}

// below is an address below that of an organization.
func below(org string, parts ...string) string {
	path := "/api/v1/orgs/" + url.PathEscape(org)
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// Orgs lists the organizations of who asks, all for administrators.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Orgs(ctx context.Context) ([]Org, error) {
	var list struct {
		Orgs []Org `json:"orgs"`
	}
	if err := h.change(ctx, http.MethodGet, "/api/v1/orgs", nil, &list); err != nil {
		return nil, fmt.Errorf("list the organizations: %w", err)
	}
	return list.Orgs, nil
}

// CreateOrg makes an organization that a user owns, the caller when owner is "".
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateOrg(ctx context.Context, name, description, owner string) error {
	body := map[string]string{"name": name, "description": description, "owner": owner}
	if err := h.change(ctx, http.MethodPost, "/api/v1/orgs", body, nil); err != nil {
		return fmt.Errorf("make organization %s: %w", name, err)
	}
	return nil
}

// DescribeOrg changes the description. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DescribeOrg(ctx context.Context, name, description string) error {
	if err := h.change(ctx, http.MethodPatch, below(name), map[string]string{"description": description}, nil); err != nil {
		return fmt.Errorf("describe organization %s: %w", name, err)
	}
	return nil
}

// DeleteOrg takes an organization without models away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DeleteOrg(ctx context.Context, name string) error {
	if err := h.change(ctx, http.MethodDelete, below(name), nil, nil); err != nil {
		return fmt.Errorf("delete organization %s: %w", name, err)
	}
	return nil
}

// members is the address of the members of an organization or of a model, org/name.
func members(scope string) string {
	org, name, model := strings.Cut(scope, "/")
	if model {
		return "/api/v1/models/" + url.PathEscape(org) + "/" + url.PathEscape(name) + "/members"
	}
	return below(org, "members")
}

// Members lists who was given a role in an organization, or in a model itself.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Members(ctx context.Context, scope string) ([]Member, error) {
	var list struct {
		Members []Member `json:"members"`
	}
	if err := h.change(ctx, http.MethodGet, members(scope), nil, &list); err != nil {
		return nil, fmt.Errorf("list the members of %s: %w", scope, err)
	}
	return list.Members, nil
}

// SetRole gives a user or a robot a role in an organization or a model, or takes
// it away when role is "". Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetRole(ctx context.Context, scope, user, role string) error {
	path := members(scope) + "/" + url.PathEscape(user)
	var err error
	if role == "" {
		err = h.change(ctx, http.MethodDelete, path, nil, nil)
	} else {
		err = h.change(ctx, http.MethodPut, path, map[string]string{"role": role}, nil)
	}
	if err != nil {
		return fmt.Errorf("set the role of %s in %s: %w", user, scope, err)
	}
	return nil
}

// Teams lists the teams of an organization. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Teams(ctx context.Context, org string) ([]Team, error) {
	var list struct {
		Teams []Team `json:"teams"`
	}
	if err := h.change(ctx, http.MethodGet, below(org, "teams"), nil, &list); err != nil {
		return nil, fmt.Errorf("list the teams of %s: %w", org, err)
	}
	return list.Teams, nil
}

// CreateTeam makes a team without members and roles. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateTeam(ctx context.Context, org, team string) error {
	if err := h.change(ctx, http.MethodPost, below(org, "teams"), map[string]string{"name": team}, nil); err != nil {
		return fmt.Errorf("make team %s of %s: %w", team, org, err)
	}
	return nil
}

// DeleteTeam takes a team away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DeleteTeam(ctx context.Context, org, team string) error {
	if err := h.change(ctx, http.MethodDelete, below(org, "teams", team), nil, nil); err != nil {
		return fmt.Errorf("delete team %s of %s: %w", team, org, err)
	}
	return nil
}

// SetTeamMember takes a user into a team, or out of it. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetTeamMember(ctx context.Context, org, team, user string, in bool) error {
	method := http.MethodDelete
	if in {
		method = http.MethodPut
	}
	if err := h.change(ctx, method, below(org, "teams", team, "members", user), nil, nil); err != nil {
		return fmt.Errorf("change the members of team %s of %s: %w", team, org, err)
	}
	return nil
}

// SetTeamRole gives a team a role in its organization or in a model of it, or
// takes it away when role is "". Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) SetTeamRole(ctx context.Context, org, team, scope, role string) error {
	path := below(org, "teams", team, "roles")
	var err error
	if role == "" {
		err = h.change(ctx, http.MethodDelete, path+"?"+url.Values{"scope": {scope}}.Encode(), nil, nil)
	} else {
		err = h.change(ctx, http.MethodPut, path, TeamRole{scope, role}, nil)
	}
	if err != nil {
		return fmt.Errorf("set the role of team %s in %s: %w", team, scope, err)
	}
	return nil
}

// Robots lists the robots of an organization. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) Robots(ctx context.Context, org string) ([]Robot, error) {
	var list struct {
		Robots []Robot `json:"robots"`
	}
	if err := h.change(ctx, http.MethodGet, below(org, "robots"), nil, &list); err != nil {
		return nil, fmt.Errorf("list the robots of %s: %w", org, err)
	}
	return list.Robots, nil
}

// CreateRobot makes a robot without roles and tokens, and returns its user name.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateRobot(ctx context.Context, org, robot string) (user string, err error) {
	var made Robot
	if err := h.change(ctx, http.MethodPost, below(org, "robots"), map[string]string{"name": robot}, &made); err != nil {
		return "", fmt.Errorf("make robot %s of %s: %w", robot, org, err)
	}
	return made.User, nil
}

// DeleteRobot takes a robot away with its tokens. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DeleteRobot(ctx context.Context, org, robot string) error {
	if err := h.change(ctx, http.MethodDelete, below(org, "robots", robot), nil, nil); err != nil {
		return fmt.Errorf("delete robot %s of %s: %w", robot, org, err)
	}
	return nil
}

// CreateRobotToken makes an access token of a robot. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) CreateRobotToken(ctx context.Context, org, robot string, q TokenRequest) (AccessToken, error) {
	var t AccessToken
	if err := h.change(ctx, http.MethodPost, below(org, "robots", robot, "tokens"), q.body(), &t); err != nil {
		return t, fmt.Errorf("make a token of robot %s of %s: %w", robot, org, err)
	}
	return t, nil
}

// RevokeRobotToken takes an access token of a robot away. Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) RevokeRobotToken(ctx context.Context, org, robot string, id int64) error {
	if err := h.change(ctx, http.MethodDelete, below(org, "robots", robot, "tokens", strconv.FormatInt(id, 10)), nil, nil); err != nil {
		return fmt.Errorf("revoke token %d of robot %s of %s: %w", id, robot, org, err)
	}
	return nil
}
