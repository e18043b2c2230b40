// Package term says what one may, must and must not do with a model, over its
// own licence and those of everything that its weights were made from, and
// answers questions about a use.
//
// It states what licences say, with the clause and the way through the
// lineage, and is no legal advice. What is not known is never permitted.
package term
