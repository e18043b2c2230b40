package text

import (
	"strings"

	"github.com/google/licenseclassifier/v2/assets"
)

// Standard returns the text of an open licence of the SPDX list, to compare
// others with, where a package has it word for word as it is known here.
func Standard(ref string) (string, bool) {
	if strings.ContainsAny(ref, "/\\") || strings.HasPrefix(ref, "LicenseRef-") {
		return "", false
	}
	for _, id := range []string{ref, general(ref)} {
		for _, file := range []string{"/pristine.txt", "/license.txt"} {
			p, err := assets.ReadLicenseFile("License/" + id + file)
			if err != nil {
				continue
			}
			r, err := Known().Identify(string(p))
			return string(p), err == nil && len(r.Refs) == 1 && general(r.Refs[0]) == general(ref)
		}
	}
	return "", false
}

// general returns the id of a licence without what later versions may be
// chosen, on which its text does not depend.
func general(ref string) string {
	return strings.TrimSuffix(strings.TrimSuffix(ref, "-only"), "-or-later")
}
