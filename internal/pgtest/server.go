package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carat-hub/carat/internal/child"
	"github.com/carat-hub/carat/internal/need"
)

const (
	superuser = "carat"
	patience  = 60 * time.Second // for a start or a stop; both take about a second
)

// Server is a PostgreSQL server on a loopback port and a data folder of its own. Its methods may not be called at the
// same time.
type Server struct {
	bin      string
	folder   string
	port     int
	password string
	owner    *syscall.Credential
	process  *child.Process
}

// NewServer starts a server for this test alone; it ends with the test. A missing installation is treated as by New.
// TEST_DATABASE_URL does not matter here: a server that others use cannot be stopped.
func NewServer(t testing.TB) *Server {
	t.Helper()
	bin := binaries()
	if bin == "" {
		need.Missing(t, "the PostgreSQL server", install)
	}
	s, err := start(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.process.Kill()
		}
		if err := os.RemoveAll(s.folder); err != nil {
			t.Error(err)
		}
	})
	return s
}

// URL is the address of the server's maintenance database, with the rights to create others. It stays the same over Stop,
// Kill and Start.
func (s *Server) URL() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Database creates an empty database and returns its URL. It goes with the server.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "carat_test_" + strings.ToLower(rand.Text()[:12])
	if err := exec(s.URL(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(s.URL(), "/postgres?", "/"+name+"?", 1)
}

// Stop shuts the server down as an operator would: it breaks off every connection, then writes everything out.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.process.Stop(syscall.SIGINT, patience); err != nil {
		t.Fatal(err)
	}
	s.process = nil
}

// Kill ends the server's first process with SIGKILL, as a crash would; its other processes then end by themselves.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.process.Kill()
	s.process = nil
}

// Start starts a server that was stopped or killed, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	// After a kill the old processes may still hold the shared memory for a moment: the new server refuses until they go.
	deadline := time.Now().Add(patience)
	for {
		err := s.run()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// binaries is the folder of the newest installed server's programs, or "".
func binaries() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		found = nil
	}
	sort.Slice(found, func(i, j int) bool { return release(found[i]) < release(found[j]) })
	if n := len(found); n > 0 {
		return filepath.Dir(found[n-1])
	}
	if path, err := osexec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		return filepath.Dir(path)
	}
	return ""
}

// release is the major release in /usr/lib/postgresql/15/bin/postgres.
func release(path string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0
	}
	return n
}

// start makes a data folder and runs a server on it.
func start(bin string) (_ *Server, err error) {
	s := &Server{bin: bin, password: rand.Text()}
	if s.owner, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "carat-pgtest-"); err != nil {
		return nil, fmt.Errorf("make folder for the test server: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.folder)
		}
	}()
	pass := filepath.Join(s.folder, "password")
	if err := os.WriteFile(pass, []byte(s.password+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the test server's password: %w", err)
	}
	for _, path := range []string{s.folder, pass} {
		if s.owner == nil {
			break
		}
		if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return nil, fmt.Errorf("give the folder to the server's user: %w", err)
		}
	}
	initdb := s.command("initdb", "--pgdata="+s.data(), "--username="+superuser, "--pwfile="+pass,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US",
		"--wal-segsize=4", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// The port is free when it is chosen but another process may take it before the server does.
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// run starts the server's process and waits until it answers.
func (s *Server) run() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the test server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", s.folder)
	for _, setting := range []string{
		"fsync=on", "full_page_writes=on", "synchronous_commit=on",
		"shared_buffers=32MB", "max_connections=100", "wal_level=minimal", "max_wal_senders=0", "min_wal_size=8MB",
		"max_wal_size=128MB", "jit=off",
	} {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.Stdout, cmd.Stderr = log, log
	s.process, err = child.Start(cmd, s.folder)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		err := s.answers()
		if err == nil {
			return nil
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("the test server ended: %w\n%s", errors.Join(s.process.Err(), err), s.log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.process.Kill()
			return fmt.Errorf("the test server does not answer: %w\n%s", err, s.log())
		}
	}
}

func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	const tail = 4 << 10
	if len(b) > tail {
		b = b[len(b)-tail:]
	}
	return string(b)
}

// command runs a server program as the folder's owner, with nothing of our environment that could steer it.
func (s *Server) command(name string, args ...string) *osexec.Cmd {
	cmd := osexec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	if s.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	}
	return cmd
}

// unprivileged is who runs the server: PostgreSQL refuses root, so that root needs another user. It is nil for everyone
// else.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	var u *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if u, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find a user that is not root for the test server: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
