package check

import "embed"

// samples are the texts whose perplexity is measured. Each was written for this purpose, and is in the public domain with it: one
// small story in several languages, a longer one in the English of old books, and a program.
var samples = []sample{
	{"english", "en", read("english")},
	{"chronicle", "en", read("chronicle")},
	{"german", "de", read("german")},
	{"french", "fr", read("french")},
	{"spanish", "es", read("spanish")},
	{"italian", "it", read("italian")},
	{"portuguese", "pt", read("portuguese")},
	{"russian", "ru", read("russian")},
	{"chinese", "zh", read("chinese")},
	{"japanese", "ja", read("japanese")},
	{"korean", "ko", read("korean")},
	{"arabic", "ar", read("arabic")},
	{"hindi", "hi", read("hindi")},
	{"code", "code", read("code")},
}

// sample is one text. Language is its code by ISO 639-1, or "code".
type sample struct{ name, language, text string }

//go:embed text/*.txt
var texts embed.FS

func read(name string) string {
	p, err := texts.ReadFile("text/" + name + ".txt")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return string(p)
}
