package detect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stallwatch/capture"
)

// signals drives a lifecycle second by second.
type signals struct {
	e    *Engine
	n    *node
	at   capture.Time
	told []string // state and severity of what was reported, with its age
}

func newSignals(t *testing.T) *signals {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &signals{e: e, n: e.view.addNode(capture.EndpointOf(netip.MustParseAddrPort("10.0.0.5:14265"))), at: epoch}
}

// hold raises what is named, every step for so long, and settles.
func (s *signals) hold(d, step time.Duration, raise func(l *lifecycle, at capture.Time)) {
	l := &s.e.life
	for end := s.at.Add(d); s.at < end; s.at = s.at.Add(step) {
		raise(l, s.at)
		l.settle(s.at)
		for _, f := range l.out {
			a := f.Alert
			word := a.State.String()
			if a.Repeat {
				word = "again"
			}
			s.told = append(s.told, word+" "+a.Severity.String()+" "+a.Name+" after "+s.at.Sub(epoch).String())
		}
		l.out = nil
	}
}

func (s *signals) quiet(d time.Duration) { s.hold(d, second, func(*lifecycle, capture.Time) {}) }

// raises is a signal of the node.
func (s *signals) raises(name string, sev Severity) func(*lifecycle, capture.Time) {
	key := incidentKey{detector: name, node: s.n.id}
	return func(l *lifecycle, at capture.Time) {
		if a := l.raise(at, key, s.n, sev, 7); a != nil {
			a.Unit = "sockets"
			l.remember(key, a)
		}
	}
}

func (s *signals) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(s.told, "\n"), strings.Join(want, "\n"))
	}
}

// A signal that crosses its threshold a hundred times is one incident.
func TestHundredCrossings(t *testing.T) {
	s := newSignals(t)
	for range 100 {
		s.hold(2*second, second, s.raises("SlowReader", Warning))
		s.quiet(10 * second)
	}
	s.quiet(time.Minute)
	s.want(t, "firing warning SlowReader after 0s", "again warning SlowReader after 5m0s", "resolved warning SlowReader after 20m4s")
}

// An incident that goes on is told again after 5 and 30 minutes, 2 and 12
// hours, and then daily.
func TestRepeatsDecay(t *testing.T) {
	s := newSignals(t)
	s.hold(75*time.Hour, 10*second, s.raises("SlowReader", Warning))
	s.want(t, "firing warning SlowReader after 0s", "again warning SlowReader after 5m0s", "again warning SlowReader after 30m0s",
		"again warning SlowReader after 2h0m0s", "again warning SlowReader after 12h0m0s", "again warning SlowReader after 24h0m0s",
		"again warning SlowReader after 48h0m0s", "again warning SlowReader after 72h0m0s")
}

// What gets worse is told once more, at once; what gets better is not, and its
// end says what it was at worst.
func TestEscalation(t *testing.T) {
	s := newSignals(t)
	s.hold(20*second, second, s.raises("SlowReader", Warning))
	s.hold(20*second, second, s.raises("SlowReader", Critical))
	s.hold(20*second, second, s.raises("SlowReader", Warning))
	s.quiet(time.Minute)
	s.want(t, "firing warning SlowReader after 0s", "firing critical SlowReader after 20s", "resolved critical SlowReader after 1m14s")
}

// What a cause leads to is told only if it outlives the cause; what fired
// before keeps its own life, without being told again.
func TestInhibition(t *testing.T) {
	s := newSignals(t)
	down, queue := s.raises("NodeDown", Critical), s.raises("AcceptQueueFull", Critical)
	both := func(l *lifecycle, at capture.Time) { down(l, at); queue(l, at) }
	s.hold(10*time.Minute, second, both)
	s.want(t, "firing critical NodeDown after 0s", "again critical NodeDown after 5m0s")
	s.hold(30*second, second, queue)
	s.want(t, "firing critical NodeDown after 0s", "again critical NodeDown after 5m0s", "resolved critical NodeDown after 10m14s", "firing critical AcceptQueueFull after 10m15s")

	s = newSignals(t)
	stalled, unresponsive := s.raises("CallStalled", Warning), s.raises("NodeUnresponsive", Critical)
	s.hold(10*second, second, stalled)
	s.hold(10*time.Minute, second, func(l *lifecycle, at capture.Time) { unresponsive(l, at); stalled(l, at) })
	s.quiet(time.Minute)
	s.want(t, "firing warning CallStalled after 0s", "firing critical NodeUnresponsive after 10s", "again critical NodeUnresponsive after 5m10s",
		"resolved warning CallStalled after 10m24s", "resolved critical NodeUnresponsive after 10m24s")
}
