package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mib = 1 << 20

	minPartSize     = 5 * mib  // what S3 demands of every part but the last
	maxPartSize     = 5 << 30  // what S3 allows
	defaultPartSize = 8 * mib  // the first parts of an object
	maxFirstPart    = 64 * mib // a part is held in memory

	defaultConcurrency = 4
	defaultMemory      = 256 * mib
	defaultAttempts    = 5
	defaultTimeout     = time.Minute
	defaultRegion      = "us-east-1"
	defaultEndpoint    = "https://s3.amazonaws.com"

	maxURLLength    = 4096
	maxPrefixLength = 512
)

// Options says which bucket to use and how.
type Options struct {
	// Endpoint is the service: "http://host:port" or "https://host".
	// Empty means Amazon S3.
	Endpoint string
	// PublicEndpoint replaces Endpoint in the URLs for clients, when they
	// reach the service under another name than we do.
	PublicEndpoint string
	// Region goes into every signature; default us-east-1.
	Region string
	// PathStyle puts the bucket into the path rather than into the host name.
	PathStyle bool

	Bucket string
	Prefix string // folder inside the bucket, without slashes at its ends

	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // for temporary keys

	// PartSize is the size of an object's first parts in bytes, from 5 MiB to
	// 64 MiB, default 8 MiB. It doubles after every 1000 parts.
	PartSize int64
	// Concurrency is how many parts of one stream upload at once, default 4.
	Concurrency int
	// Memory bounds the bytes of all streams that wait for S3, default
	// 256 MiB. A single part of every open stream may always exist, so the
	// bound in fact is the larger of this and one part for every open stream.
	Memory int64
	// Attempts is how often a request is tried when it fails for a reason
	// that may pass, default 5.
	Attempts int
	// Timeout is the longest silence of the service in the middle of a
	// request, default one minute. Completing an upload may take ten times as long.
	Timeout time.Duration
	// Transport carries the requests; default is one made for S3.
	Transport http.RoundTripper
}

// String tells which bucket it is, and no keys.
func (o Options) String() string {
	return "bucket " + o.Bucket + " at " + first(o.Endpoint, defaultEndpoint)
}

// LogValue implements slog.LogValuer.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

var (
	bucketName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`) })
	prefixName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`) })
	regionName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`) })
)

// ParseURL reads "s3://bucket/prefix?endpoint=http://host:port&region=name&
// path-style=true&public-endpoint=https://name", in which all parameters are
// optional and unknown ones are errors. Keys come from AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, what the URL does not say from
// AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL.
// Path style is the default for everybody but Amazon.
func ParseURL(raw string, getenv func(string) string) (Options, error) {
	var o Options
	if len(raw) > maxURLLength {
		return o, fmt.Errorf("blob URL is longer than %d bytes", maxURLLength)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return o, fmt.Errorf("blob URL: %w", withoutURL(err))
	}
	switch {
	case u.Scheme != "s3":
		return o, errors.New(`blob URL does not begin with "s3://"`)
	case u.User != nil:
		return o, errors.New("blob URL holds keys: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Fragment != "" || u.Opaque != "":
		return o, errors.New("blob URL is not of the form s3://bucket/prefix?parameters")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("parameters of blob URL: %w", err)
	}
	for name, values := range q {
		if !slices.Contains([]string{"endpoint", "public-endpoint", "region", "path-style"}, name) {
			return o, fmt.Errorf("blob URL has an unknown parameter %q", name)
		}
		if len(values) > 1 {
			return o, fmt.Errorf("blob URL has parameter %q more than once", name)
		}
	}
	o = Options{
		Bucket:          u.Host,
		Prefix:          strings.Trim(u.Path, "/"),
		Endpoint:        first(q.Get("endpoint"), getenv("AWS_ENDPOINT_URL_S3"), getenv("AWS_ENDPOINT_URL"), defaultEndpoint),
		PublicEndpoint:  q.Get("public-endpoint"),
		Region:          first(q.Get("region"), getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), defaultRegion),
		AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    getenv("AWS_SESSION_TOKEN"),
	}
	endpoint, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return Options{}, err
	}
	o.PathStyle = !isAmazon(endpoint.Hostname())
	if v := q.Get("path-style"); v != "" {
		if o.PathStyle, err = strconv.ParseBool(v); err != nil {
			return Options{}, fmt.Errorf("parameter path-style of blob URL is %q, not true or false", v)
		}
	}
	if err := o.check(); err != nil {
		return Options{}, err
	}
	return o, nil
}

// check refuses what no request could succeed with.
func (o Options) check() error {
	switch {
	case !bucketName().MatchString(o.Bucket) || strings.Contains(o.Bucket, ".."):
		return fmt.Errorf("%q is not the name of a bucket", o.Bucket)
	case o.Prefix != "" && !validPrefix(o.Prefix):
		return fmt.Errorf("bucket prefix %q may hold letters, digits, '_', '.' and '-' between single slashes", o.Prefix)
	case !regionName().MatchString(o.Region):
		return fmt.Errorf("%q is not the name of a region", o.Region)
	case o.AccessKeyID == "" || o.SecretAccessKey == "":
		return errors.New("S3 keys are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case o.PartSize != 0 && (o.PartSize < minPartSize || o.PartSize > maxFirstPart):
		return fmt.Errorf("part size %d is outside of %d to %d bytes", o.PartSize, minPartSize, maxFirstPart)
	case o.Concurrency < 0 || o.Memory < 0 || o.Attempts < 0 || o.Timeout < 0:
		return errors.New("an S3 option is negative")
	}
	for _, endpoint := range []string{o.Endpoint, o.PublicEndpoint} {
		if endpoint == "" {
			continue
		}
		if _, err := parseEndpoint(endpoint); err != nil {
			return err
		}
	}
	return nil
}

// withDefaults fills in what was left zero.
func (o Options) withDefaults() Options {
	o.Endpoint = first(o.Endpoint, defaultEndpoint)
	o.PublicEndpoint = first(o.PublicEndpoint, o.Endpoint)
	o.Region = first(o.Region, defaultRegion)
	o.PartSize = first(o.PartSize, defaultPartSize)
	o.Concurrency = first(o.Concurrency, defaultConcurrency)
	o.Memory = first(o.Memory, defaultMemory)
	o.Attempts = first(o.Attempts, defaultAttempts)
	o.Timeout = first(o.Timeout, defaultTimeout)
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return o
}

// newTransport keeps enough idle connections for the parts of many streams.
// Requests have their own time limits, so the transport has none of the
// answer: completing a large upload may take minutes.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	t.MaxIdleConns = 128
	t.DisableCompression = true
	t.WriteBufferSize = 64 << 10
	t.ReadBufferSize = 64 << 10
	return t
}

func validPrefix(prefix string) bool {
	if len(prefix) > maxPrefixLength || !prefixName().MatchString(prefix) {
		return false
	}
	for name := range strings.SplitSeq(prefix, "/") {
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("S3 endpoint: %w", withoutURL(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("S3 endpoint is not of the form http://host:port or https://host")
	}
	return u, nil
}

func isAmazon(host string) bool {
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}

// withoutURL takes the text that was parsed, which may hold a password, out
// of an error of net/url.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// first returns the first value that is not zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
