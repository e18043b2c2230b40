// Package jsonwalk walks JSON values in place: encoding/json takes several times the size of a file with a million small values
// to hold what it has read. Everything here expects JSON that json.Valid has passed.
package jsonwalk
