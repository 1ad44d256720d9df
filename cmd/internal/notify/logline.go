package notify

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
)

// logLine writes a line for each client that stands out, for fail2ban and
// CrowdSec to read:
//
//	2018-01-25T08:58:01.250Z stallwatch[123]: abuse rule=CallStalled client=192.0.2.7 port=14265 severity=critical
//
// The time comes first, then a constant, and nothing of the line is text that
// a client chose: whoever could write "client=" there could have anybody
// banned. A line is written only when one client stands out, and never for an
// address whose ban would cut off the node itself: loopback and the like
// never, private ones (a proxy, a load balancer) only if asked for.
type logLine struct {
	path  string
	pid   int
	never []netip.Prefix
	local bool
}

// calls has the lines as its body, for --dry-run.
func (l *logLine) calls(b *batch) []call {
	lines := l.lines(b)
	if len(lines) == 0 {
		return nil
	}
	return []call{{what: "append", method: "append", body: lines}}
}

func (l *logLine) lines(b *batch) []byte {
	var out []byte
	for _, c := range b.Changed {
		if !c.resolved() && l.bannable(c.Alert.Client.Addr()) {
			out = l.line(out, &c.Alert, b.Test)
		}
	}
	return out
}

func (l *logLine) line(dst []byte, a *detect.Alert, test bool) []byte {
	dst = instant(a.At).AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	dst = append(dst, " stallwatch["...)
	dst = strconv.AppendInt(dst, int64(l.pid), 10)
	// A test must match no filter.
	if test {
		dst = append(dst, "]: test rule="...)
	} else {
		dst = append(dst, "]: abuse rule="...)
	}
	dst = appendName(dst, a.Name)
	dst = append(dst, " client="...)
	dst = a.Client.Addr().AppendTo(dst)
	if a.Server.IsValid() {
		dst = append(dst, " port="...)
		dst = strconv.AppendUint(dst, uint64(a.Server.Port()), 10)
	}
	dst = append(dst, " severity="...)
	dst = append(dst, text.Severity(a.Severity)...)
	return append(dst, '\n')
}

// appendName keeps letters and digits: rule files may name alerts, and their
// authors may be careless.
func appendName(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; letter(c) || c >= '0' && c <= '9' || c == '_' {
			dst = append(dst, c)
		}
	}
	return dst
}

func (l *logLine) bannable(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || !l.local && inner(a) {
		return false
	}
	return !slices.ContainsFunc(l.never, func(p netip.Prefix) bool { return p.Contains(a) })
}

// deliver opens the file anew each time: logrotate may have moved it.
func (l *logLine) deliver(_ context.Context, b *batch) outcome {
	lines := l.lines(b)
	if len(lines) == 0 {
		return outcome{verdict: delivered}
	}
	if err := appendTo(l.path, lines); err != nil {
		return outcome{verdict: retry, words: clean(err.Error(), maxWords), wait: 5 * time.Second}
	}
	return outcome{verdict: delivered}
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
