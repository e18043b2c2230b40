package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

// tracer is a writer like net/http's that notes how bytes reach it.
type tracer struct {
	*httptest.ResponseRecorder
	sources   []string    // of ReadFrom
	deadlines []time.Time // of writing
	reads     []time.Time // deadlines of reading
}

func (w *tracer) ReadFrom(r io.Reader) (int64, error) {
	source := "other"
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			source = "file " + strconv.FormatInt(l.N, 10)
		}
	}
	w.sources = append(w.sources, source)
	return io.Copy(w.ResponseRecorder, r)
}

func (w *tracer) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

func (w *tracer) SetReadDeadline(t time.Time) error {
	w.reads = append(w.reads, t)
	return nil
}

func tempFile(t *testing.T, content []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// serveFile is how handlers send files.
func serveFile(name string) func(e *echo.Echo) {
	return func(e *echo.Echo) {
		e.GET("/v2/*", func(c echo.Context) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			c.Response().Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(c.Response().Writer, c.Request(), "", time.Time{}, f)
			return nil
		})
	}
}

// The kernel copies a file to the socket only when ReadFrom of net/http's
// writer gets the file behind exactly one limit.
func TestFileReachesReadFrom(t *testing.T) {
	t.Parallel()
	content := make([]byte, 2*piece+piece/2)
	rand.Read(content)
	r := setup(t, serveFile(tempFile(t, content)))
	for _, tc := range []struct {
		header string
		want   []string
		body   []byte
	}{
		{"", []string{"file 1048576", "file 1048576", "file 524288"}, content},
		{"bytes=10-19", []string{"file 10"}, content[10:20]},
		{"bytes=0-1048575", []string{"file 1048576"}, content[:piece]},
	} {
		w := &tracer{ResponseRecorder: httptest.NewRecorder()}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/blob", nil)
		if tc.header != "" {
			req.Header.Set("Range", tc.header)
		}
		r.ServeHTTP(w, req)
		if diff := cmp.Diff(tc.want, w.sources); diff != "" {
			t.Errorf("%q: %s", tc.header, diff)
		}
		if !bytes.Equal(w.Body.Bytes(), tc.body) {
			t.Errorf("%q: %d bytes that differ", tc.header, w.Body.Len())
		}
	}
	// And over a socket the bytes are right and counted.
	resp, body := r.get("/v2/blob")
	if resp.StatusCode != http.StatusOK || body != string(content) {
		t.Errorf("status %d, %d bytes", resp.StatusCode, len(body))
	}
	id := resp.Header.Get("X-Request-Id")
	if line := r.logged(func(m map[string]any) bool { return m["request"] == id }); line["sent"] != float64(len(content)) || line["status"] != 200.0 {
		t.Errorf("log line %v", line)
	}
}

func TestReadFromSources(t *testing.T) {
	t.Parallel()
	content := make([]byte, piece+5)
	rand.Read(content)
	failing := func() io.Reader { return io.MultiReader(bytes.NewReader(content[:7]), errReader{}) }
	for name, tc := range map[string]struct {
		below http.ResponseWriter
		r     io.Reader
		want  []byte
		err   error
	}{
		"reader":               {&tracer{ResponseRecorder: httptest.NewRecorder()}, bytes.NewReader(content), content, nil},
		"limited":              {&tracer{ResponseRecorder: httptest.NewRecorder()}, io.LimitReader(bytes.NewReader(content), piece+2), content[:piece+2], nil},
		"limit beyond the end": {&tracer{ResponseRecorder: httptest.NewRecorder()}, io.LimitReader(bytes.NewReader(content), 2*piece), content, nil},
		"limit of zero":        {&tracer{ResponseRecorder: httptest.NewRecorder()}, io.LimitReader(bytes.NewReader(content), 0), nil, nil},
		"failing":              {&tracer{ResponseRecorder: httptest.NewRecorder()}, failing(), content[:7], errRead},
		"failing, limited":     {&tracer{ResponseRecorder: httptest.NewRecorder()}, io.LimitReader(failing(), 100), content[:7], errRead},
		"plain writer":         {struct{ http.ResponseWriter }{httptest.NewRecorder()}, bytes.NewReader(content), content, nil},
	} {
		w := newResponse(tc.below, time.Minute)
		n, err := w.ReadFrom(tc.r)
		if n != int64(len(tc.want)) || w.bytes != n || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d bytes, %d counted, %v", name, n, w.bytes, err)
		}
	}
}

var errRead = errors.New("disk broke")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errRead }

// Deadlines move while bytes flow, however long the whole takes, and reading
// has none once the body has ended: the handler may work on.
func TestDeadlinesMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const stall = time.Minute
		w := &tracer{ResponseRecorder: httptest.NewRecorder()}
		out := newResponse(w, stall)
		in := &body{ReadCloser: io.NopCloser(&slowReader{left: 20, pause: 50 * time.Second}), control: out.control, stall: stall}
		p := make([]byte, 1)
		for {
			_, err := in.Read(p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(w.reads[len(w.reads)-1]); left != 10*time.Second {
				t.Fatalf("after a slow read %s are left", left)
			}
		}
		if last := w.reads[len(w.reads)-1]; !last.IsZero() {
			t.Errorf("the deadline for reading stays at %s after the end", last)
		}
		if in.bytes != 20 {
			t.Errorf("%d bytes counted", in.bytes)
		}

		for range 10 {
			if _, err := out.Write(p); err != nil {
				t.Fatal(err)
			}
			if left := time.Until(w.deadlines[len(w.deadlines)-1]); left < stall-stall/8 {
				t.Fatalf("%s are left to write", left)
			}
			time.Sleep(50 * time.Second) // of the bubble's clock
		}
		before := len(w.deadlines)
		for range 1000 {
			if _, err := out.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if moved := len(w.deadlines) - before; moved != 1 {
			t.Errorf("1000 quick writes moved the deadline %d times", moved)
		}
	})
}

// slowReader gives one byte after each pause.
type slowReader struct {
	left  int
	pause time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(r.pause)
	r.left--
	p[0] = 'x'
	return 1, nil
}

// A client that sends half a body and goes quiet gets 408, not a goroutine.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.PUT("/v2/x", func(c echo.Context) error {
			_, err := io.Copy(io.Discard, c.Request().Body)
			return err
		})
	}, func(o *Options) { o.Stall = 50 * time.Millisecond })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PUT /v2/x HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn) // ends because the connection is closed
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || !strings.Contains(string(answer), `"REQUEST_TIMEOUT"`) {
		t.Errorf("answer %q", answer)
	}
}

// A client that never reads its answer does not hold the handler.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.GET("/v2/x", func(c echo.Context) error {
			p := make([]byte, 1<<20)
			for {
				if _, err := c.Response().Write(p); err != nil {
					return err
				}
			}
		})
	}, func(o *Options) { o.Stall = 50 * time.Millisecond })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v2/x HTTP/1.1\r\nHost: hub\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line := r.logged(func(m map[string]any) bool { return m["path"] == "/v2/x" }); line["aborted"] != true {
		t.Errorf("log line %v", line)
	}
}

// The connection is good for the next request after a slow one.
func TestKeepAliveAfterDeadlines(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.PUT("/v2/x", func(c echo.Context) error {
			if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
				return err
			}
			return c.NoContent(http.StatusCreated)
		})
	})
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/x", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
}
