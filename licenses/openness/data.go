package openness

import (
	"path"
	"regexp"
	"strings"
	"sync"
)

// dataText is one of the texts that the Open Source AI Definition asks for of
// the training data, by the headings of cards and the names of files.
type dataText struct {
	heading, file *regexp.Regexp
	grade         func(*DataInformation) *Grade
}

var dataTexts = sync.OnceValue(func() []dataText {
	return []dataText{
		{
			regexp.MustCompile(`(?i)^\W*(publicly available|public) (training )?(data(sets?)?|corpora)\W*$|(?i)^\W*list of (publicly available|public) (training )?data(sets?)?\W*$`),
			regexp.MustCompile(`^(public|publicly[_-]available)[_-]?(training[_-]?)?data(sets?)?\.(md|txt|csv|json|pdf)$`),
			func(d *DataInformation) *Grade { return &d.Public },
		},
		{
			regexp.MustCompile(`(?i)^\W*(list of )?(third[- ]party|licensed) (training )?data(sets?)?\W*$|(?i)^\W*(training )?data(sets?)? (obtainable|available) from third parties\W*$`),
			regexp.MustCompile(`^(third[_-]?party|licensed)[_-]?(training[_-]?)?data(sets?)?\.(md|txt|csv|json|pdf)$`),
			func(d *DataInformation) *Grade { return &d.ThirdParty },
		},
		{
			regexp.MustCompile(`(?i)^\W*(description of (the |all )?)?(the )?(training data(sets?)?|data information)( description)?\W*$`),
			regexp.MustCompile(`^(data[_-]?information|(training[_-]?)?data[_-]?description|training[_-]?data)\.(md|txt|pdf)$`),
			func(d *DataInformation) *Grade { return &d.Description },
		},
	}
})

// DetectData returns which of the texts about the training data the files of a
// version and the sections of its card show: each is stored here or not there.
// Whether they are complete a reviewer tells, not a machine.
func DetectData(files []File, card Card) DataInformation {
	var d DataInformation
	for _, t := range dataTexts() {
		for _, f := range files {
			if t.file.MatchString(strings.ToLower(path.Base(f.Path))) {
				*t.grade(&d) = Stored
			}
		}
		for _, h := range card.Headings {
			if card.Path != "" && t.heading.MatchString(h) {
				*t.grade(&d) = Stored
			}
		}
	}
	return d
}
