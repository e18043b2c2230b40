// Spdxread reads an SPDX 3.0.1 document from its standard input with the
// library of the SPDX project, validates it, and prints how many elements of
// each type it holds, as a JSON object. It stands for all programs that are
// not ours.
package main
