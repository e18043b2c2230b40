package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Errors of organizations, teams and robots.
var (
	// ErrNotEmpty says that an organization still has content.
	ErrNotEmpty = errors.New("the organization still has models; delete them first")
	// ErrPersonal says that an organization is the name space of a user.
	ErrPersonal = errors.New("it is the name space of a user")
	// ErrUnknownTeam says that an organization has no team of that name.
	ErrUnknownTeam = errors.New("there is no such team")
	// ErrTeamExists says that it has one.
	ErrTeamExists = errors.New("there is a team of that name")
	// ErrForeignScope says that a team of one organization would get a role in another.
	ErrForeignScope = errors.New("a team has roles in its own organization only")
	// ErrUnknownRobot says that an organization has no robot of that name.
	ErrUnknownRobot = errors.New("there is no such robot")
	// ErrRobotExists says that it has one.
	ErrRobotExists = errors.New("there is a robot of that name")
)

// Org is an organization: a name space of repositories.
type Org struct {
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	User        string    `json:"user,omitempty"` // whose own name space it is
	CreatedAt   time.Time `json:"createdAt"`
}

// OrgStore keeps organizations.
type OrgStore interface {
	// Orgs lists those where a user has a role in the organization or in one of
	// its repositories, all for 0, by name.
	Orgs(ctx context.Context, userID int64) ([]Org, error)
	// Org returns one. Errors: ErrUnknownScope.
	Org(ctx context.Context, name string) (Org, error)
	// CreateOrg makes one that a user owns. Errors: ErrNamespaceTaken, ErrUnknownUser.
	CreateOrg(ctx context.Context, o Org, owner string) error
	// DescribeOrg changes the description. Errors: ErrUnknownScope.
	DescribeOrg(ctx context.Context, name, description string) error
	// DeleteOrg takes an organization away with its roles, teams, robots and
	// settings. Errors: ErrUnknownScope, ErrNotEmpty, ErrPersonal.
	DeleteOrg(ctx context.Context, name string) error
}

// Team is a set of users who have roles together.
type Team struct {
	Name      string     `json:"name"`
	Members   []string   `json:"members"`
	Roles     []TeamRole `json:"roles"`
	CreatedAt time.Time  `json:"createdAt"`
}

// TeamRole is the role of a team in its organization or in one of its repositories.
type TeamRole struct {
	Scope string `json:"scope"`
	Role  Role   `json:"role"`
}

// TeamStore keeps the teams of organizations.
type TeamStore interface {
	// Teams lists those of an organization, by name.
	Teams(ctx context.Context, org string) ([]Team, error)
	// CreateTeam makes one without members and roles. Errors: ErrUnknownScope, ErrTeamExists.
	CreateTeam(ctx context.Context, org, team string) error
	// DeleteTeam takes one away. Errors: ErrUnknownScope, ErrUnknownTeam.
	DeleteTeam(ctx context.Context, org, team string) error
	// SetTeamMember takes a user in, or out. Errors: ErrUnknownScope,
	// ErrUnknownTeam, ErrUnknownUser, ErrForeignRobot.
	SetTeamMember(ctx context.Context, org, team, user string, in bool) error
	// SetTeamRole gives a role on a scope in the place of an earlier one, or takes
	// it away when role is NoRole. Errors: ErrUnknownScope, ErrUnknownTeam, ErrForeignScope.
	SetTeamRole(ctx context.Context, org, team, scope string, role Role) error
}

// Robot is an account of an organization for programs. It signs in with access
// tokens only, and has roles like a user of the name RobotName.
type Robot struct {
	ID        int64         `json:"-"`
	Name      string        `json:"name"` // within the organization
	User      string        `json:"user"` // RobotName
	Roles     Roles         `json:"roles"`
	Tokens    []AccessToken `json:"tokens"`
	CreatedAt time.Time     `json:"createdAt"`
}

// RobotStore keeps the robots of organizations.
type RobotStore interface {
	// Robots lists those of an organization with their tokens, by name.
	Robots(ctx context.Context, org string) ([]Robot, error)
	// Robot returns one without its tokens. Errors: ErrUnknownRobot.
	Robot(ctx context.Context, org, name string) (Robot, error)
	// CreateRobot makes one without roles and tokens. Errors: ErrUnknownScope, ErrRobotExists.
	CreateRobot(ctx context.Context, org, name string) error
	// DeleteRobot takes one away with its tokens. Errors: ErrUnknownScope, ErrUnknownRobot.
	DeleteRobot(ctx context.Context, org, name string) error
}

// robotMark is between the organization and the name of a robot. No name of a
// user, an organization or a repository has it.
const robotMark = "+"

// RobotName returns the user name of a robot: org+name.
func RobotName(org, name string) string { return org + robotMark + name }

// IsRobot reports whether a user name is that of a robot.
func IsRobot(user string) bool { return strings.Contains(user, robotMark) }

// reserved are first parts of the hub's own addresses, and words that would
// look like its own voice.
var reserved = []string{
	"about", "admin-api", "api", "assets", "audit", "auth", "blog", "carat", "catalog", "docs", "explore", "favicon.ico", "health", "healthz", "help", "hub", "internal", "jwks",
	"library", "licenses", "livez", "login", "logout", "me", "metrics", "models", "new", "oauth", "oidc", "orgs", "pages", "policy", "private", "public", "readyz",
	"registry", "robots.txt", "root", "search", "security", "settings", "sign-in", "sign-out", "signup", "static", "status", "support", "system", "teams", "terms", "token",
	"tokens", "users", "v1", "v2", "verify", "well-known", "www",
}

// Reserved reports whether nobody may have a name as a name space.
func Reserved(name string) bool { return slices.Contains(reserved, name) }
