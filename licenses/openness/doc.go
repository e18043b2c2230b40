// Package openness says in what way a version of a model is open: on the
// ladder of levels from closed (0) to open science with an affirmed Open Source
// AI claim (7), once for what is claimed and once for what is proved, with what
// keeps it from the next level.
//
// It is a pure function of an Input, which names for each component of the
// Model Openness Framework (LF AI & Data) the evidence for it and its licence.
// The Open Source AI Definition 1.0 is a second axis beside the ladder, since
// neither of the two standards contains the other.
//
// It knows neither models nor stores. Whatever is not known counts against
// openness, never for it.
package openness
