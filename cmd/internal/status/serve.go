package status

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// freshFor is how long what was rendered serves everybody.
const freshFor = time.Second

// rendered keeps the last page of each kind. Its lock lets one page be
// rendered at a time: readers in a crowd wait for each other, not for a core.
type rendered struct {
	mu    sync.Mutex
	pages map[string]madePage // by kind: a closed set
}

type madePage struct {
	at   time.Time
	body []byte
}

func (r *rendered) get(kind string, now time.Time, render func() []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.pages[kind]
	if age := now.Sub(p.at); !ok || age < 0 || age >= freshFor {
		p = madePage{now, render()}
		r.pages[kind] = p
	}
	return p.body
}

// Handler serves the page at / and its data at /status.json.
func (s *Status) Handler() http.Handler {
	pages := &rendered{pages: make(map[string]madePage)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		kind, refresh := "html", true
		if r.URL.Query().Get("refresh") == "off" {
			kind, refresh = "still", false
		}
		body := pages.get(kind, s.opts.Now(), func() []byte { return s.Document().html(refresh) })
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(body)
	})
	mux.HandleFunc("GET /status.json", func(w http.ResponseWriter, _ *http.Request) {
		body := pages.get("json", s.opts.Now(), func() []byte { return s.Document().json() })
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	return s.guard(mux)
}

// guard sets what every answer says, and refuses those who may not read.
func (s *Status) guard(next http.Handler) http.Handler {
	named := hostOf(s.opts.Links.Status)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch local := fromHere(r); {
		case !local && !s.opts.Remote:
			http.Error(w, "The status page names clients, so it is told to this machine only: start stallwatch with --status all to show it to everybody who can connect, or come through ssh -L 9814:127.0.0.1:9814.", http.StatusForbidden)
		case local && !ownName(r.Host, named):
			http.Error(w, "This is no name of this machine: ask for 127.0.0.1 or localhost, or make the name that of links.status in the configuration of --notify.", http.StatusMisdirectedRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fromHere reports whether a request came over loopback, whatever address the
// server listens on.
func fromHere(r *http.Request) bool {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return addr != nil && addr.IP.IsLoopback()
}

// ownName reports whether a Host header is none that a web site may have let
// point here (DNS rebinding): an address, localhost, or the name that the
// operator gave the page.
func ownName(host, named string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || named != "" && name == named
}

// hostname is a Host header without its port, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil || link == "" {
		return ""
	}
	return hostname(u.Host)
}
