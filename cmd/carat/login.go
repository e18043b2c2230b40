package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carat-hub/carat/client"
)

func newLoginCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var user string
	var fromStdin, browser bool
	var identity identityFlags
	cmd := &cobra.Command{
		Use:   "login HOST",
		Short: "Log in to a registry",
		Long: `Check user name and password with the registry and, when it takes them, keep
them in Docker's credential store: the helper that config.json names, or that
file itself (in DOCKER_CONFIG, or ~/.docker). Every Docker-compatible program
finds them there, and carat finds what others stored.

The password is asked for without echo, or read from standard input with
--password-stdin. There is no flag for it: other users can see those.

--browser signs in on the pages of a hub instead, also as somebody whom another
provider knows: it prints an address and a code, and waits until you have allowed it
there. What is kept then may pull and push, and nothing else.

In a CI job there is no password to keep: --identity-token-env or --identity-token-file
gives the OpenID Connect token that the CI system made for the job, and a hub that
trusts its issuer (carat serve --workload-identities) gives an access token for it,
which is stored. Each identity token is good once.`,
		Example: `  carat login localhost:8080 -u admin
  echo "$PASSWORD" | carat login models.example.org -u ci --password-stdin
  carat login models.example.org --browser
  carat login models.example.org --identity-token-env CARAT_ID_TOKEN`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := client.ParseHost(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			if identity.given() {
				return e.loginWithIdentity(cmd.Context(), &remote, host, identity)
			}
			if browser {
				if user != "" || fromStdin {
					return exit(exitUsage, errors.New("--browser asks for no name and no password"))
				}
				return e.loginWithBrowser(cmd.Context(), &remote, host)
			}
			user, password, err := e.credentials(user, fromStdin)
			if err != nil {
				return err
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			if err := c.Login(cmd.Context(), host, user, password); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "logged in to %s as %s\n", host, user)
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVarP(&user, "username", "u", "", "user name, asked for when missing")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&browser, "browser", false, "sign in on the pages of the hub")
	identity.register(cmd)
	return cmd
}

// loginWithBrowser waits for somebody to allow it on the pages of a hub.
func (e *env) loginWithBrowser(ctx context.Context, remote *remoteFlags, host string) error {
	c, err := e.client(remote, client.Options{})
	if err != nil {
		return err
	}
	err = c.LoginWithBrowser(ctx, host, func(b client.BrowserCode) error {
		address := b.WithCode
		if address == "" {
			address = b.Address
		}
		_, err := fmt.Fprintf(e.stderr, "Open %s in a browser, and allow the code %s within %d minutes.\n", address, b.Code, int(b.Expires.Minutes()))
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "logged in to %s\n", host)
	return err
}

func newLogoutCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var everywhere bool
	cmd := &cobra.Command{
		Use:   "logout HOST",
		Short: "Forget the credentials of a registry",
		Long: `Forget the credentials of a registry.

--everywhere first has a hub end the sign-ins that programs such as Docker keep, on
every machine. Access tokens stay; see carat token revoke.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := client.ParseHost(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			if everywhere {
				if err := c.Hub(host).SignOutEverywhere(cmd.Context()); err != nil {
					return ownHint(err, host)
				}
			}
			if err := c.Logout(cmd.Context(), host); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "logged out of %s\n", host)
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "end the sign-ins of all programs on all machines")
	return cmd
}

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 64 << 10

// credentials completes user name and password from standard input.
func (e *env) credentials(user string, fromStdin bool) (string, string, error) {
	if fromStdin {
		if user == "" {
			return "", "", exit(exitUsage, errors.New("--password-stdin needs --username"))
		}
		p, err := io.ReadAll(io.LimitReader(e.stdin, maxPassword))
		if err != nil {
			return "", "", fmt.Errorf("read password: %w", err)
		}
		return user, strings.TrimRight(string(p), "\r\n"), nil
	}
	terminal, ok := e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", "", exit(exitUsage, errors.New("standard input is no terminal; give the password with --password-stdin"))
	}
	if user == "" {
		fmt.Fprint(e.stderr, "User name: ")
		line, err := bufio.NewReader(terminal).ReadString('\n')
		if err != nil {
			return "", "", fmt.Errorf("read user name: %w", err)
		}
		user = strings.TrimSpace(line)
	}
	fmt.Fprint(e.stderr, "Password: ")
	p, err := term.ReadPassword(int(terminal.Fd()))
	fmt.Fprintln(e.stderr)
	if err != nil {
		return "", "", fmt.Errorf("read password: %w", err)
	}
	return user, string(p), nil
}
