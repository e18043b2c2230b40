package policy

import (
	"maps"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Types of Cedar entities.
const (
	typeUser         = types.EntityType("User")
	typeOrganization = types.EntityType("Organization")
	typeVersion      = types.EntityType("Version")
	typeAction       = types.EntityType("Action")
)

// encode writes a request as Cedar's entities: who asks, with the
// organizations above it, and the version in its organization.
func encode(q Request) encoded {
	user := types.NewEntityUID(typeUser, types.String(q.Principal.Name))
	version := types.NewEntityUID(typeVersion, types.String(q.Version.Repository+"@"+q.Version.Digest))
	org, _, _ := strings.Cut(q.Version.Repository, "/")
	return encoded{
		entities: types.EntityMap{
			user:    {UID: user, Parents: organizations(q.Principal.Organizations), Attributes: types.NewRecord(q.Principal.attributes())},
			version: {UID: version, Parents: organizations([]string{org}), Attributes: types.NewRecord(q.Version.attributes(org))},
		},
		request: cedar.Request{
			Principal: user,
			Action:    types.NewEntityUID(typeAction, types.String(q.Action)),
			Resource:  version,
			Context:   types.NewRecord(types.RecordMap{"now": types.NewDatetime(q.At)}),
		},
	}
}

func organizations(names []string) types.EntityUIDSet {
	list := make([]types.EntityUID, len(names))
	for i, n := range names {
		list[i] = types.NewEntityUID(typeOrganization, types.String(n))
	}
	return types.NewEntityUIDSet(list...)
}

func (p Principal) attributes() types.RecordMap {
	m := types.RecordMap{
		"name":      types.String(p.Name),
		"admin":     types.Boolean(p.Admin),
		"role":      types.String(p.Role),
		"anonymous": types.Boolean(p.Name == ""),
	}
	if p.Country != nil {
		m["country"] = types.String(*p.Country)
	}
	if p.Commercial != nil {
		m["commercial"] = types.Boolean(*p.Commercial)
	}
	if p.MonthlyUsers != nil {
		m["monthlyUsers"] = types.Long(*p.MonthlyUsers)
	}
	if p.AnnualRevenueUSD != nil {
		m["annualRevenueUSD"] = types.Long(*p.AnnualRevenueUSD)
	}
	if p.Purpose != nil {
		m["purpose"] = types.String(*p.Purpose)
	}
	return m
}

func (v Version) attributes(org string) types.RecordMap {
	m := types.RecordMap{
		"organization": types.String(org),
		"repository":   types.String(v.Repository),
		"digest":       types.String(v.Digest),
		"verification": types.String(v.Verification),
	}
	if !v.Pending {
		maps.Copy(m, v.facts())
	}
	return m
}

// facts are the attributes that are known when the files have been read.
func (v Version) facts() types.RecordMap {
	return types.RecordMap{
		"format":     types.String(v.Format),
		"programs":   set(v.Files),
		"parameters": types.Long(v.Parameters),
		"signed":     types.Boolean(v.Signed),
		"openness": types.NewRecord(types.RecordMap{
			"claimed":  types.Long(v.Claimed),
			"verified": types.Long(v.Verified),
			"osaid":    types.String(v.OSAID),
		}),
		"license": types.NewRecord(types.RecordMap{
			"expression":   types.String(v.License.Expression),
			"ids":          set(v.License.IDs),
			"openness":     types.String(v.License.Openness),
			"commercial":   types.String(v.License.Commercial),
			"modify":       types.String(v.License.Modify),
			"redistribute": types.String(v.License.Redistribute),
			"restrictions": set(v.License.Restrictions),
			"territories":  set(v.License.Territories),
			"osi":          types.Boolean(v.License.OSI),
			"textMatch":    types.Boolean(v.License.TextMatch),
		}),
		"lineage": types.NewRecord(types.RecordMap{
			"errors":   types.Long(v.Lineage.Errors),
			"warnings": types.Long(v.Lineage.Warnings),
			"findings": set(v.Lineage.Findings),
			"bases":    set(v.Lineage.Bases),
			"unknown":  types.Boolean(v.Lineage.Unknown),
		}),
	}
}

func set(list []string) types.Set {
	values := make([]types.Value, len(list))
	for i, s := range list {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}

// sample is a request in which every fact is known.
func sample(a Action) Request {
	country, commercial, n, purpose := "FR", true, int64(1), "production"
	return Request{
		Principal: Principal{Name: "anna", Organizations: []string{"acme"}, Country: &country, Commercial: &commercial, MonthlyUsers: &n, AnnualRevenueUSD: &n, Purpose: &purpose},
		Action:    a,
		Version:   Version{Repository: "acme/model", Digest: "sha256:0", Verification: "passed", OSAID: "fails"},
		At:        time.Unix(1_700_000_000, 0),
	}
}
