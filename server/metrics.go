package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carat-hub/carat/auth"
)

// metrics are the edge's own. Labels have few values: route patterns, known
// methods and statuses, never anything of the path.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
	inFlight prometheus.Gauge
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		handler: promhttp.HandlerFor(r, promhttp.HandlerOpts{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carat_http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "carat_http_request_duration_seconds", Help: "Time from the header of a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60, 600, 3600},
		}, []string{"route", "method"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carat_http_received_bytes_total", Help: "Bytes of request bodies read.",
		}, []string{"route"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carat_http_sent_bytes_total", Help: "Bytes of answer bodies written.",
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "carat_http_requests_in_flight", Help: "Requests being served now.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.received, m.sent, m.inFlight} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register HTTP metrics: %w", err)
		}
	}
	return m, nil
}

// showMetrics is GET /metrics, for administrators: routes and rates tell what a
// hub has and who uses it.
func (s *Server) showMetrics(c echo.Context) error {
	p, err := s.principal(c.Request(), true)
	if err != nil {
		return err
	}
	if err := auth.Administer(p); err != nil {
		return err
	}
	s.metrics.handler.ServeHTTP(c.Response(), c.Request())
	return nil
}

// Metrics shows the metrics to whoever asks, for an address of its own that
// only those who may know them reach.
func (s *Server) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler)
	return mux
}

func (m *metrics) note(x *exchange, method string, status int, received, sent int64, took time.Duration) {
	route := x.route
	if route == "" {
		route = "none"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route, method).Observe(took.Seconds())
	m.received.WithLabelValues(route).Add(float64(received))
	m.sent.WithLabelValues(route).Add(float64(sent))
}
