package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// callTimeout bounds a whole request: dialling, TLS, the answer's body.
const callTimeout = 10 * time.Second

// maxAnswer bounds what is read of an answer in bytes. What the receivers
// say on purpose has less than one KiB.
const maxAnswer = 64 << 10

// services are the hosts of receivers that live at one place only, and
// nowhere else: a mistyped or smuggled URL does not carry alerts away.
var services = map[Kind][]string{
	Discord:   {"discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"},
	Slack:     {"hooks.slack.com", "hooks.slack-gov.com"},
	Telegram:  {"api.telegram.org"},
	PagerDuty: {"events.pagerduty.com", "events.eu.pagerduty.com"},
}

// parseTarget checks a receiver's URL. Its errors do not show it. A host that
// the operator names stands in for the service's own.
func parseTarget(k Kind, host string, s Secret) (*url.URL, error) {
	u, err := url.Parse(s.reveal())
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the URL is none: want https://host/path")
	}
	if u.User != nil {
		return nil, errors.New("the URL has a password in it: use user and password_file")
	}
	fixed := services[k]
	if fixed == nil {
		return u, nil
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("the URL of a %s receiver must be https", k)
	}
	if u.Host != host && !slices.Contains(fixed, strings.ToLower(u.Host)) {
		return nil, fmt.Errorf("the URL's host is not one of %s: name another with host", strings.Join(fixed, ", "))
	}
	return u, nil
}

// certificates reads a PEM file of authorities.
func certificates(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, nil
}

var (
	errPrivate  = errors.New("the host's name leads to a private address: refused")
	errNoAnswer = errors.New("no answer in time")
)

// newClient makes the HTTP client of one receiver: certificates verified,
// redirects not followed (they could carry an alert, or its token, anywhere),
// proxies by the usual variables. A public service that resolves to an inner
// address is refused after DNS, where it cannot be rebound any more; a proxy
// may be inside.
func newClient(r *Receiver, timeout time.Duration) (*http.Client, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
	}
	if r.CAFile != "" {
		pool, err := certificates(r.CAFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = pool
	}
	c := &http.Client{Transport: t, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if services[r.Kind] != nil && r.Host == "" {
		guarded := t.Clone()
		guarded.Proxy = nil
		guarded.DialContext = (&net.Dialer{Timeout: timeout, Control: publicOnly}).DialContext
		c.Transport = proxyOr{proxied: t, direct: guarded}
	}
	return c, nil
}

// proxyOr sends what a proxy is configured for through it, the rest through a
// transport that dials public addresses only.
type proxyOr struct{ proxied, direct *http.Transport }

// RoundTrip implements http.RoundTripper.
func (p proxyOr) RoundTrip(req *http.Request) (*http.Response, error) {
	if proxy, err := http.ProxyFromEnvironment(req); err != nil || proxy != nil {
		return p.proxied.RoundTrip(req)
	}
	return p.direct.RoundTrip(req)
}

// CloseIdleConnections lets http.Client close both.
func (p proxyOr) CloseIdleConnections() {
	p.proxied.CloseIdleConnections()
	p.direct.CloseIdleConnections()
}

func publicOnly(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || inner(ap.Addr()) {
		return errPrivate
	}
	return nil
}

// carrierNAT is RFC 6598's shared space: inner, although not "private".
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// inner reports whether a does not name a host of the open Internet.
func inner(a netip.Addr) bool {
	a = a.Unmap()
	return !a.IsGlobalUnicast() || a.IsPrivate() || carrierNAT.Contains(a)
}

// call is one request to a receiver.
type call struct {
	what   string // "post", "edit": for the log and --dry-run
	method string
	url    *url.URL // secret
	header http.Header
	body   []byte
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends c. Its error carries no URL but may carry other secrets: it goes
// through redactor.failure.
func do(ctx context.Context, client *http.Client, c *call) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url.String(), bytes.NewReader(c.body))
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	resp, err := client.Do(req)
	if err != nil {
		var n net.Error
		if errors.As(err, &n) && n.Timeout() {
			return nil, errNoAnswer
		}
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && resp.StatusCode/100 == 2 {
		// The status says that it was taken; what got lost are the words.
		err = nil
	}
	return &answer{resp.StatusCode, resp.Header, body}, err
}
