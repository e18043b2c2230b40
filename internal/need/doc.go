// Package need says what happens to a test whose outside program is not installed: a developer's run skips it and says how
// to install the program, a CI run (CI=true) fails, so that nothing is silently left out there.
//
// It must not know any program.
package need
