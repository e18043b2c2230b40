// Package content says what files are by their bytes, never by their names, as far as it matters to who loads them: pickles
// and what may hide one, programs, scripts, documents with scripts, and archives, which it opens.
//
// It reads and never runs anything. What it cannot look into it reports as such; nothing here says that a file is safe. Work,
// memory and depth are bounded. It knows nothing of models and reports.
package content
