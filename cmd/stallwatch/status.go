package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/rs/zerolog"

	"stallwatch/capture"
	"stallwatch/cmd/internal/notify"
	"stallwatch/cmd/internal/pipeline"
	"stallwatch/cmd/internal/status"
	"stallwatch/detect"
)

// The values of --status: who may read the status page.
const (
	statusLocal = "local"
	statusAll   = "all"
	statusOff   = "off"
)

func checkStatus(who string) error {
	switch who {
	case statusLocal, statusAll, statusOff:
		return nil
	}
	return usage(fmt.Errorf("--status %q: want local, all or off", who))
}

// openStatus makes the status page; c, the receivers' configuration, may be
// nil.
func (out *outputs) openStatus(f *watchFlags, o pipeline.Options, c *notify.Config) {
	so := status.Options{Build: version(), Rules: detect.Digest(o.Rules), Interfaces: f.interfaces, Ports: o.Tracker.Ports,
		Remote: f.status == statusAll, Health: out.metrics.Health}
	if c != nil {
		so.Instance, so.Proxy, so.Node, so.Links = c.Instance, c.Proxy, c.Node, c.Links
	}
	if so.Instance == "" {
		so.Instance, _ = os.Hostname() // it is only shown
	}
	out.status = status.New(so)
	out.sinks = append(out.sinks, out.status)
}

// handler is what the listener of --metrics serves.
func (out *outputs) handler() http.Handler {
	m := out.metrics.Handler()
	if out.status == nil {
		return m
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", m)
	mux.Handle("/healthz", m)
	mux.Handle("/", out.status.Handler())
	return mux
}

// where says where the status page and the metrics are.
func (out *outputs) where(e *zerolog.Event, who string) *zerolog.Event {
	if out.addr == "" {
		return e
	}
	e = e.Str("metrics", "http://"+out.addr+"/metrics")
	if out.status == nil {
		return e
	}
	if url := statusURL(out.addr, who); url != "" {
		return e.Str("status", url)
	}
	return e.Str("status", "not shown at this address, since it names clients; see --status")
}

// statusURL is where a browser on this machine finds the page; "" if it is
// not told to anybody who can reach the address.
func statusURL(addr, who string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return ""
	}
	if a.Addr().IsUnspecified() {
		a = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	if !a.Addr().Unmap().IsLoopback() && who != statusAll {
		return ""
	}
	return "http://" + a.String() + "/"
}

// sampled shows what the host says of the node's process.
func (out *outputs) sampled(s *capture.Sample) {
	if out.status != nil {
		out.status.Sampled(s)
	}
}
