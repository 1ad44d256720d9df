package status

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stallwatch/cmd/internal/notify"
)

// get asks h over loopback.
func get(h http.Handler, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "127.0.0.1:9814"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9814}))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHeaders(t *testing.T) {
	s := newScene(Options{})
	healthy(s)
	for _, path := range []string{"/", "/status.json", "/nothing"} {
		w := get(s.Handler(), path, nil)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; style-src 'sha256-") || strings.Contains(p, "unsafe") {
			t.Errorf("%s: policy %q", path, p)
		}
	}
}

// The policy names the hash of the style as a browser sees it, and the page
// has nothing else that a policy would have to allow.
func TestPolicyFitsPage(t *testing.T) {
	s := newScene(Options{Instance: "x"})
	attack(s)
	w := get(s.Handler(), "/", nil)
	page := w.Body.String()
	_, rest, _ := strings.Cut(page, "<style>")
	style, rest, ok := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !ok || !strings.Contains(w.Header().Get("Content-Security-Policy"), want) {
		t.Errorf("the policy %q has not the style's hash %s", w.Header().Get("Content-Security-Policy"), want)
	}
	for _, word := range []string{"<style", "style=", "<script", "<img", "<link", "<iframe", "onload", "src=", "url(", "@import"} {
		if strings.Contains(rest, word) || strings.Contains(style, word) {
			t.Errorf("%q is on the page", word)
		}
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Errorf("content type %q", ct)
	}
}

func TestWhoMayRead(t *testing.T) {
	links := notify.Links{Status: "https://Node.example:8443/stallwatch/"}
	for _, row := range []struct {
		name   string
		o      Options
		local  string // address of the listener's end; "": none
		host   string
		method string
		target string
		want   int
	}{
		{"loopback", Options{}, "127.0.0.1", "127.0.0.1:9814", "GET", "/", 200},
		{"loopback 6", Options{}, "::1", "[::1]:9814", "GET", "/", 200},
		{"localhost", Options{}, "127.0.0.1", "LOCALHOST.:9814", "GET", "/", 200},
		{"a tunnel's port", Options{}, "127.0.0.1", "localhost:1234", "GET", "/status.json", 200},
		{"a tunnel's address", Options{}, "127.0.0.1", "10.0.0.7", "GET", "/", 200},
		{"rebound name", Options{}, "127.0.0.1", "evil.example:9814", "GET", "/", 421},
		{"rebound name, data", Options{}, "127.0.0.1", "evil.example:9814", "GET", "/status.json", 421},
		{"name like localhost", Options{}, "127.0.0.1", "localhost.evil.example", "GET", "/", 421},
		{"name like an address", Options{}, "127.0.0.1", "127.0.0.1.evil.example", "GET", "/", 421},
		{"no name", Options{}, "127.0.0.1", "", "GET", "/", 421},
		{"rebound name, all", Options{Remote: true}, "127.0.0.1", "evil.example", "GET", "/", 421},
		{"the page's own name", Options{Links: links}, "127.0.0.1", "node.example:8443", "GET", "/", 200},
		{"another name", Options{Links: links}, "127.0.0.1", "example", "GET", "/", 421},
		{"from elsewhere", Options{}, "192.0.2.7", "192.0.2.7:9814", "GET", "/", 403},
		{"from elsewhere, data", Options{}, "192.0.2.7", "127.0.0.1:9814", "GET", "/status.json", 403},
		{"nobody knows", Options{}, "", "127.0.0.1:9814", "GET", "/", 403},
		{"all", Options{Remote: true}, "192.0.2.7", "monitor.lan", "GET", "/", 200},
		{"HEAD", Options{}, "127.0.0.1", "127.0.0.1", "HEAD", "/", 200},
		{"POST", Options{}, "127.0.0.1", "127.0.0.1", "POST", "/", 405},
		{"DELETE", Options{}, "127.0.0.1", "127.0.0.1", "DELETE", "/status.json", 405},
		{"elsewhere", Options{}, "127.0.0.1", "127.0.0.1", "GET", "/etc/passwd", 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newScene(row.o)
			w := get(s.Handler(), "/", func(r *http.Request) {
				r.Method, r.Host, r.URL.Path = row.method, row.host, row.target
				addr := &net.TCPAddr{IP: net.ParseIP(row.local), Port: 9814}
				if row.local == "" {
					addr = nil
				}
				*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
			})
			if w.Code != row.want {
				t.Errorf("%d, want %d: %s", w.Code, row.want, w.Body)
			}
			if row.want != 200 && strings.Contains(w.Body.String(), "node-1") {
				t.Errorf("a refusal tells: %s", w.Body)
			}
		})
	}
}

// Over a real listener, HEAD has the headers of GET and no body, and a crowd
// gets one rendering a second.
func TestRenderedOnceASecond(t *testing.T) {
	s := newScene(Options{})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	body := func(path string) string {
		t.Helper()
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(b.String(), "\r\n\r\n")
		return text
	}
	first := body("/status.json")
	healthy(s)
	s.now = noon
	if again := body("/status.json"); again != first {
		t.Errorf("the same instant was rendered twice")
	}
	s.now = noon.Add(90 * sec)
	if later := body("/status.json"); later == first {
		t.Errorf("what was rendered never gets old")
	}
	if page := body("/"); !strings.Contains(page, `http-equiv="refresh" content="5"`) {
		t.Errorf("the page does not refresh")
	}
	if page := body("/?refresh=off"); strings.Contains(page, `http-equiv="refresh"`) {
		t.Errorf("the page refreshes although it was told not to")
	}
	resp, err := http.Head(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Security-Policy") != policy || resp.ContentLength > 0 && resp.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %s %v", resp.Status, resp.Header)
	}
}
