// Package bom writes what is known of a version in the forms that others read:
// notices, bills of materials, and the sheet of the EU AI Act.
//
// It is pure. The same ancestry, assessment and options give the same bytes:
// times are those of the version, identifiers are derived from its digest. What
// is not known is left out or said to be so; nothing is made up.
package bom
