package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestInnerAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "169.254.169.254": true, "100.64.1.1": true,
		"::1": true, "fe80::1": true, "fd00::1": true, "::ffff:10.0.0.1": true, "0.0.0.0": true, "224.0.0.1": true,
		"162.159.128.233": false, "2606:4700::1": false,
	} {
		if got := inner(netip.MustParseAddr(addr)); got != want {
			t.Errorf("inner(%s) = %v, want %v", addr, got, want)
		}
	}
}

// A public service whose name leads inside is refused when it is dialled,
// whatever DNS said before.
func TestPublicServiceOnPrivateAddress(t *testing.T) {
	f := newFake(t, Discord)
	r := f.receiver()
	r.Host = ""
	client, err := newClient(&r, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(r.URLs[0].reveal())
	_, err = do(context.Background(), client, &call{method: http.MethodPost, url: u})
	if !errors.Is(err, errPrivate) {
		t.Errorf("got %v, want %v", err, errPrivate)
	}
	if tried, _ := f.counts(); tried != 0 {
		t.Error("something was sent")
	}
}

// Errors of every layer, none of which may show the URL.
func TestErrorsShowNoSecret(t *testing.T) {
	refused := startPlain(t, http.NotFoundHandler())
	for _, row := range []struct{ name, base string }{
		{"name that does not resolve", "https://no-such-host.invalid/"},
		{"nobody listens", "https://127.0.0.1:1/"},
		{"no TLS there", strings.Replace(refused, "http", "https", 1) + "/"},
		{"bad port", "https://127.0.0.1:99999/"},
	} {
		secret := NewSecret(row.base + "api/webhooks/123456/" + token + "?key=" + token)
		tr := transport{&http.Client{Timeout: time.Second}, newRedactor([]Secret{secret})}
		u, _ := url.Parse(secret.reveal())
		_, out := tr.do(context.Background(), &call{method: http.MethodPost, url: u})
		if out.verdict != retry || out.words == "" || strings.Contains(out.words, token) || strings.Contains(out.words, "webhooks") {
			t.Errorf("%s: %+v", row.name, out)
		}
	}
}

func TestRedactor(t *testing.T) {
	r := newRedactor([]Secret{NewSecret("https://discord.com/api/webhooks/1234567/" + token + "?thread=abcdefg")}, NewSecret("k3y"))
	for _, s := range []string{
		"https://discord.com/api/webhooks/1234567/" + token + "?thread=abcdefg",
		`Post "/api/webhooks/1234567/` + token + `": EOF`, "token " + token + " is bad", "k3y", "1234567", "abcdefg",
	} {
		got := r.text(s)
		if !strings.Contains(got, hidden) || strings.Contains(got, token) || strings.Contains(got, "k3y") || strings.Contains(got, "1234567") || strings.Contains(got, "abcdefg") {
			t.Errorf("text(%q) = %q", s, got)
		}
	}
}

func TestSecretPrintsNowhere(t *testing.T) {
	type deep struct{ in struct{ s []Secret } }
	var d deep
	d.in.s = []Secret{NewSecret(token)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if s := fmt.Sprintf(verb+" "+verb+" "+verb, NewSecret(token), &d, d); strings.Contains(s, token) || strings.Contains(s, fmt.Sprintf("%x", token)) {
			t.Errorf("%s shows it: %s", verb, s)
		}
	}
	if b := encodeJSON(NewSecret(token)); string(b) != `"\u003csecret\u003e"` {
		t.Errorf("JSON: %s", b)
	}
}

func TestCredentialOfSystemd(t *testing.T) {
	path := secretFile(t, 0o440, "https://discord.com/api/webhooks/1/x")
	if _, err := readSecret(path, ""); err == nil {
		t.Error("a file that the group can read was taken")
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if _, err := readSecret(path, ""); err != nil {
		t.Errorf("a credential of systemd: %v", err)
	}
}

func TestSpoolInUse(t *testing.T) {
	dir := t.TempDir()
	c := Config{Spool: dir, Receivers: []Receiver{{Name: "ban", Kind: LogLine, Path: filepath.Join(dir, "abuse.log")}}}
	n, err := New(&c, Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(context.Background())
	if _, err := New(&c, Options{Log: zerolog.Nop()}); err == nil || !strings.Contains(err.Error(), "name another directory with spool") {
		t.Errorf("got %v, want what to do", err)
	}
	if st, err := os.Stat(filepath.Join(dir, "ban.queue")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("queue file: %v, %v", st, err)
	}
}

// The heartbeat is there while the capture is healthy, and only then.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	var pings atomic.Int64
	var ill atomic.Bool
	srv := startPlain(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+token {
			pings.Add(1)
		}
	}))
	c := Config{Spool: NoSpool, Heartbeat: Heartbeat{NewSecret(srv + "/" + token), 10 * time.Millisecond}}
	n, err := New(&c, Options{Log: zerolog.Nop(), Healthy: func() error {
		if ill.Load() {
			return errors.New("blind")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "three pings", func() bool { return pings.Load() >= 3 })
	ill.Store(true)
	before := pings.Load()
	time.Sleep(100 * time.Millisecond) // a ping may be on its way, ten would be wrong
	if got := pings.Load(); got > before+2 {
		t.Errorf("%d pings of a blind capture", got-before)
	}
	if err := n.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
