package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// confirm asks at the terminal, and returns refused unless the answer is yes.
func (e *env) confirm(question string, refused error) error {
	terminal, ok := e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return fmt.Errorf("%w: standard input is no terminal, so that nobody can be asked; see --yes", refused)
	}
	fmt.Fprint(e.stderr, question+" [y/N] ")
	lines := bufio.NewScanner(terminal)
	lines.Scan()
	if s := strings.ToLower(strings.TrimSpace(lines.Text())); s != "y" && s != "yes" {
		return refused
	}
	return nil
}
