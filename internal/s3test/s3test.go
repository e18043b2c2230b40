package s3test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/internal/child"
	"github.com/carat-hub/carat/internal/toolbin"
)

const (
	region   = "eu-test-1"
	patience = 60 * time.Second // for a start or a stop; both take well under a second
)

// Server is an S3 server on a loopback port, and a bucket of it that belongs to the test. Its methods may not be called at
// the same time.
type Server struct {
	Endpoint  string // http://127.0.0.1:port, the same over Stop, Kill and Start
	Region    string
	AccessKey string
	SecretKey string
	Bucket    string // exists and is empty

	program string
	folder  string
	process *child.Process
}

// shared is the server that New uses, started by the first test that needs it. Nothing stops it: it ends with the process.
var shared = sync.OnceValues(start)

// New returns the shared server with a new bucket, which is emptied and removed when the test ends. Only the fields and URL
// are of use: the shared server cannot be stopped.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	own := *s
	own.process = nil
	own.Bucket = own.MakeBucket(t)
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(own.data(), own.Bucket)); err != nil {
			t.Error(err)
		}
	})
	return &own
}

// NewServer starts a server for this test alone; it ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := start()
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
	s.Bucket = s.MakeBucket(t)
	return s
}

// URL is the value of --blobs for the given prefix in the test's bucket ("" for none). The keys are not in it: see Env.
func (s *Server) URL(prefix string) string {
	u := url.URL{
		Scheme:   "s3",
		Host:     s.Bucket,
		Path:     "/" + strings.TrimPrefix(prefix, "/"),
		RawQuery: url.Values{"endpoint": {s.Endpoint}, "region": {s.Region}, "path-style": {"true"}}.Encode(),
	}
	return u.String()
}

// Env is the keys as the environment variables that the usual S3 clients read, in the form of exec.Cmd.Env.
func (s *Server) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}
}

// MakeBucket makes one more empty bucket and returns its name.
func (s *Server) MakeBucket(t testing.TB) string {
	t.Helper()
	bucket := "test-" + strings.ToLower(rand.Text()[:12])
	if err := os.Mkdir(filepath.Join(s.data(), bucket), 0o700); err != nil {
		t.Fatalf("make bucket: %v", err)
	}
	return bucket
}

// ObjectFile is where the server keeps the object of that key in the test's bucket, for tests that look at it or damage it.
func (s *Server) ObjectFile(key string) string {
	return filepath.Join(s.data(), s.Bucket, filepath.FromSlash(key))
}

// Stop lets the server finish and end; connections are refused afterwards.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.own(t)
	if err := s.process.Stop(syscall.SIGTERM, patience); err != nil {
		t.Fatal(err)
	}
	s.process = nil
}

// Kill ends the server with SIGKILL, in the middle of whatever it does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.own(t)
	s.process.Kill()
	s.process = nil
}

// Start starts a server that was stopped or killed, with all its objects, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) own(t testing.TB) {
	t.Helper()
	if s.process == nil {
		t.Fatal("not a running server of the test's own: see NewServer")
	}
}

func (s *Server) data() string    { return filepath.Join(s.folder, "data") }
func (s *Server) sidecar() string { return filepath.Join(s.folder, "attributes") }

// start makes a folder and runs a server on it.
func start() (_ *Server, err error) {
	s := &Server{Region: region, AccessKey: "test-" + rand.Text()[:8], SecretKey: rand.Text()}
	if s.program, err = toolbin.Build("versitygw"); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "carat-s3test-"); err != nil {
		return nil, fmt.Errorf("make folder for the S3 server: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(s.folder)
		}
	}()
	for _, dir := range []string{s.data(), s.sidecar()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make folder for the S3 server: %w", err)
		}
	}
	// The port is free when it is chosen but another process may take it before the server does.
	for range 5 {
		if s.Endpoint, err = freeEndpoint(); err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// run starts the server's process and waits until it answers.
func (s *Server) run() error {
	logFile := filepath.Join(s.folder, "log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the S3 server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	// Not every file system has the extended attributes that the server would use; a sidecar folder works on all of them.
	cmd := exec.Command(s.program, "--port", strings.TrimPrefix(s.Endpoint, "http://"), "--region", s.Region,
		"--health", "/health", "--keep-alive", "--quiet", "posix", "--sidecar", s.sidecar(), s.data())
	cmd.Dir = s.folder
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = child.Start(cmd, s.folder); err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		err := healthy(s.Endpoint + "/health")
		if err == nil {
			return nil
		}
		ended := false
		select {
		case <-s.process.Done():
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
		if ended || time.Now().After(deadline) {
			s.process.Kill()
			said, _ := os.ReadFile(logFile)
			return fmt.Errorf("the S3 server does not answer: %w\n%s", errors.Join(err, s.process.Err()), said)
		}
	}
}

func healthy(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}

func freeEndpoint() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return "http://" + l.Addr().String(), nil
}
