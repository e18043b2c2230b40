package hfapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
)

// branch is a branch or a tag.
type branch struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`
	Target string `json:"targetCommit"`
}

// refs answers the branch main and the tags.
func (h *Handler) refs(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	list, err := h.reg.Versions(c.Request().Context(), f.grant)
	if err != nil {
		return err
	}
	tags := []branch{}
	for _, v := range list {
		for _, t := range v.Tags {
			tags = append(tags, branch{string(t), refTags + string(t), commitOf(v.Digest)})
		}
	}
	answer := map[string][]branch{"branches": {{branchMain, refHeads + branchMain, f.commit}}, "tags": tags, "converts": {}}
	if flag(c.QueryParam("include_prs")) {
		answer["pullRequests"] = []branch{}
	}
	return c.JSON(http.StatusOK, answer)
}

// commit is a version as a commit.
type commit struct {
	ID        string     `json:"id"`
	Title     string     `json:"title"`
	Message   string     `json:"message"`
	Authors   []author   `json:"authors"` // the organization: who pushed is not for readers
	Date      timestamp  `json:"date"`
	Formatted *formatted `json:"formatted,omitempty"`
}

type author struct {
	User string `json:"user"`
}

// formatted are title and message as HTML.
type formatted struct {
	Title   string `json:"title"`
	Message string `json:"message"`
}

// title says which version a commit is. It holds nothing that HTML escapes.
func title(v *registry.Version) string {
	if len(v.Tags) == 0 {
		return v.Digest.String()
	}
	tags := make([]string, len(v.Tags))
	for i, t := range v.Tags {
		tags[i] = string(t)
	}
	return "Push " + strings.Join(tags, ", ")
}

// pageCommits is how many commits one answer has.
const pageCommits = 50

// commits answers a version and those that were pushed before it, the newest first.
func (h *Handler) commits(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	page := 0
	if s := c.QueryParam("p"); s != "" {
		if page, err = strconv.Atoi(s); err != nil || page < 0 || page > maxOffset {
			return errParameter("p")
		}
	}
	limit, err := limitOf(c, pageCommits, maxList)
	if err != nil {
		return err
	}
	list, err := h.history(c, f)
	if err != nil {
		return err
	}
	c.Response().Header().Set("X-Total-Count", strconv.Itoa(len(list)))
	from := min(page*limit, len(list))
	to := min(from+limit, len(list))
	if to < len(list) {
		h.linkNext(c, "p", strconv.Itoa(page+1))
	}
	asHTML := slices.Contains(expanded(c), "formatted")
	org, _, _ := f.name.Split()
	commits := []commit{}
	for _, v := range list[from:to] {
		x := commit{ID: commitOf(v.Digest), Title: title(&v), Authors: []author{{org}}, Date: timestamp(v.CreatedAt)}
		if asHTML {
			x.Formatted = &formatted{Title: x.Title}
		}
		commits = append(commits, x)
	}
	return c.JSON(http.StatusOK, commits)
}

// history returns the version that was found and those pushed before it.
func (h *Handler) history(c echo.Context, f *found) ([]registry.Version, error) {
	list, err := h.reg.Versions(c.Request().Context(), f.grant)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(v registry.Version) bool { return v.Digest == f.listing.Digest })
	if i < 0 { // older than all that are listed
		v, err := h.reg.Version(c.Request().Context(), f.grant, registry.Reference{Digest: f.listing.Digest})
		return []registry.Version{v}, err
	}
	return list[i:], nil
}
