package lineage

import (
	"slices"
	"strings"
)

// members of the European Union, ISO 3166-1 alpha-2.
var members = strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")

// Within reports whether a country or region lies in one of the regions. The
// European Union stands for its members.
func Within(region string, regions []string) bool {
	region = strings.ToUpper(region)
	if slices.Contains(regions, region) {
		return true
	}
	if region == "EU" {
		return slices.ContainsFunc(regions, func(r string) bool { return slices.Contains(members, r) })
	}
	return slices.Contains(regions, "EU") && slices.Contains(members, region)
}
