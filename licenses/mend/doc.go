// Package mend turns what the rules of lineage find of a model into changes of
// its files: missing notices and attribution lines, and the declared licence
// when that is asked for. It only adds lines, and replaces none but the one
// that declares the licence: what somebody else wrote stays as it is, byte for byte.
//
// It knows findings and the texts of files. It must not know where they are
// kept: nothing is read or written here.
package mend
