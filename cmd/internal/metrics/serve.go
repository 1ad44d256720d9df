package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// DefaultAddr is where metrics are served: this machine only, since who calls
// a node and how it fares is nobody else's business.
const DefaultAddr = "127.0.0.1:9814"

// Bounds of the server: scrapers are few and quick, anything else is a
// mistake or an attack.
const (
	maxConns    = 32
	maxScrapes  = 4
	headerWait  = 5 * time.Second
	scrapeWait  = 10 * time.Second
	answerWait  = 15 * time.Second
	idleWait    = 2 * time.Minute
	headerBytes = 8 << 10
)

// Handler serves /metrics, /healthz and a line that names both.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeWait, EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("GET /healthz", m.serveHealth)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "stallwatch: see /metrics and /healthz\n")
	})
	return mux
}

func (m *Metrics) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h := m.Health()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if h.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(h)
}

// Server serves a Handler until it is closed.
type Server struct {
	http *http.Server
	addr string
	done chan struct{}
}

// ErrAddr marks what is no address at all.
var ErrAddr = errors.New("metrics address")

// Listen serves h at addr in a goroutine that Close ends.
func Listen(addr string, h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("metrics address %s is in use: is another stallwatch running? choose another with --metrics ADDRESS, or --metrics '' for none", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("metrics address %s is not permitted: choose a port above 1023 with --metrics ADDRESS", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("metrics address %s is not of this machine: choose another with --metrics ADDRESS", addr)
	case err != nil:
		return nil, fmt.Errorf("%w %q: want HOST:PORT, as in %s: %w", ErrAddr, addr, DefaultAddr, err)
	}
	s := &Server{
		http: &http.Server{Handler: h, ReadHeaderTimeout: headerWait, ReadTimeout: headerWait, WriteTimeout: answerWait,
			IdleTimeout: idleWait, MaxHeaderBytes: headerBytes},
		addr: l.Addr().String(),
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		s.http.Serve(netutil.LimitListener(l, maxConns))
	}()
	return s, nil
}

// Addr returns the address that is served, with its real port.
func (s *Server) Addr() string { return s.addr }

// Close ends the server, at once: a scrape in progress fails and is repeated.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}
