// Package text tells which licence a text is. Identity is only ever that of
// words: a known text is found word by word, and what else stands around it is
// shown. A likeness merely proposes a candidate.
//
// It is pure: texts come from the caller, and what is known of the texts of
// licences are their fingerprints, from which no text can be had.
package text
