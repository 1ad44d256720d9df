package evidence

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"stallwatch/capture"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
)

// maxRequests bounds the calls that reproduce.sh repeats: the culprit and the
// two that follow it in the evidence.
const maxRequests = 3

// maxInline bounds a body that stands in the script itself, in bytes; a
// larger one, or one that is not text, goes into a file of its own.
const maxInline = 4096

// maxBody bounds what is kept of a body.
const maxBody = 1 << 20

// request is a call as it was asked.
type request struct {
	call    detect.CallRef
	method  string
	target  string
	body    []byte
	whole   bool // body is all of it
	end     capture.Time
	seen    bool
	cutPath bool
}

// requests finds the calls of an alert's evidence in the packets that are
// written: the core keeps no bodies, and this is the only place that wants
// them.
type requests struct {
	tracker *httpreassembly.Tracker // nil iff no call is wanted
	events  []httpreassembly.Event
	wanted  []request
	at      capture.Time
}

func (r *requests) init(a *detect.Alert) {
	r.at = a.At
	for _, c := range a.Evidence.Calls[:min(len(a.Evidence.Calls), maxRequests)] {
		r.wanted = append(r.wanted, request{call: c})
	}
	if len(r.wanted) > 0 {
		r.tracker = httpreassembly.New(httpreassembly.Options{BodyPrefix: maxBody, MaxConnBuffered: maxBody, MaxConns: 1 << 14, Ports: ports(a.Server)})
	}
}

func ports(server netip.AddrPort) []uint16 {
	if server.Port() == 0 {
		return nil
	}
	return []uint16{server.Port()}
}

func (r *requests) segment(s *capture.Segment) {
	if r.tracker == nil {
		return
	}
	r.events = r.tracker.Segment(r.events[:0], s)
	for i := range r.events {
		if r.events[i].Kind == httpreassembly.RequestSeen {
			r.take(r.events[i].Exchange)
		}
	}
	r.tracker.Recycle()
}

// take keeps x if it is wanted: the request that ended at the call's time, or
// of that connection the last one before the alert.
func (r *requests) take(x *httpreassembly.Exchange) {
	for i := range r.wanted {
		w := &r.wanted[i]
		if w.from() != x.Flow.Client.AddrPort() || x.RequestEnd > r.at || w.seen && w.end == w.call.Since {
			continue
		}
		w.method, w.target, w.body = string(x.Method), string(x.Target), bytes.Clone(x.Body)
		w.whole, w.cutPath = int64(len(x.Body)) == x.RequestBody, x.TargetBytes > len(x.Target)
		w.end, w.seen = x.RequestEnd, true
	}
}

// from is the other end of the call's connection, which may be a proxy's.
func (w *request) from() netip.AddrPort {
	if w.call.From.IsValid() {
		return w.call.From
	}
	return w.call.Client
}

// found returns the calls whose request was in the packets.
func (r *requests) found() []request {
	return slices.DeleteFunc(slices.Clone(r.wanted), func(w request) bool { return !w.seen })
}

// script is reproduce.sh and the bodies beside it.
type script struct {
	text  []byte
	files []file
}

type file struct {
	name string
	data []byte
}

const scriptHead = `#!/bin/sh
# Asks a node of your own what was asked when %s fired
# at %s: %s
#
# It may stall that node: that is what it is for. Start one on a machine of
# your own and name it, as in
#
#   NODE=http://127.0.0.1:24265 sh reproduce.sh
#
# The node that was watched is refused.
set -eu
: "${NODE:?name a node of your own, as in NODE=http://127.0.0.1:24265}"
case "$NODE/" in
http://%s/* | https://%s/*)
	echo 'this is the node that was watched: ask another one' >&2
	exit 1 ;;
esac
cd "$(dirname "$0")"
ask() { curl --globoff --path-as-is --silent --show-error --max-time 120 --output /dev/null --write-out '%%{http_code} after %%{time_total} s\n' "$@" || true; }
`

// script writes the lines. Nothing of the wire stands outside of single
// quotes, and nothing in quotes is of more than printable ASCII.
func (r *requests) script(a *detect.Alert, full bool) (s script) {
	server := plainEnd(a.Server)
	if !a.Server.IsValid() {
		server = "0.0.0.0:0"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, scriptHead, comment(a.Name), a.At, comment(a.Subject), quotedPattern(server), quotedPattern(server))
	found := r.found()
	if len(found) == 0 {
		b.WriteString("\n# No call of the evidence was seen whole in the packets: there is nothing to repeat.\n")
	}
	for i := range found {
		w := &found[i]
		fmt.Fprintf(&b, "\n# %d: %s from %s, sent %s, unanswered for %s at the alert\n", i+1, comment(w.call.Command), plainEnd(w.call.Client), w.end, w.call.Age)
		if f := w.line(&b, i+1, full); f != nil {
			s.files = append(s.files, *f)
		}
	}
	s.text = b.Bytes()
	return s
}

// plainEnd prints an end without its zone, which is free text: it could come
// from a crafted side file, and a line break in it would end a comment.
func plainEnd(a netip.AddrPort) string {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()).String()
}

// comment makes s fit for a shell comment: one line of printable ASCII.
func comment(s string) string { return text.Escape(s) }

// quotedPattern makes s literal in a case pattern.
func quotedPattern(s string) string { return string(appendQuoted(nil, s)) }

// methods are those that are repeated; what else a client invented, curl is
// not told.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// line writes one call, or a comment that says why not.
func (w *request) line(b *bytes.Buffer, n int, full bool) *file {
	switch {
	case !slices.Contains(methods, w.method):
		b.WriteString("# its method is not repeated\n")
		return nil
	case !strings.HasPrefix(w.target, "/") || !printable(w.target) || w.cutPath:
		// An absolute target, or one that continues the host, would send curl
		// elsewhere than to $NODE.
		b.WriteString("# its target is no plain path and is not repeated\n")
		return nil
	}
	target, body := w.target, w.body
	if !full {
		target = text.Target([]byte(w.target), true)
		if body = redacted(w.body, w.call.Command); body == nil && len(w.body) > 0 {
			fmt.Fprintf(b, "# its body of %d bytes is no JSON that could be redacted: --evidence-full keeps it\n", len(w.body))
			return nil
		}
	}
	if !w.whole {
		b.WriteString("# only the beginning of its body was captured or kept\n")
	}
	fmt.Fprintf(b, "ask --request %s", w.method)
	if w.method == "HEAD" {
		b.WriteString(" --head")
	}
	b.WriteString(" --header 'Content-Type: application/json' --header 'X-IOTA-API-Version: 1'")
	f := appendBody(b, body, n)
	b.WriteString(` "$NODE"`)
	b.Write(appendQuoted(nil, target))
	b.WriteByte('\n')
	return f
}

// appendBody writes the option that sends body. --data-raw and not --data:
// that one takes a body that begins with @ for a file's name.
func appendBody(b *bytes.Buffer, body []byte, n int) *file {
	switch {
	case len(body) == 0:
		return nil
	case len(body) <= maxInline && printable(string(body)):
		b.WriteString(" --data-raw ")
		b.Write(appendQuoted(nil, string(body)))
		return nil
	}
	f := &file{fmt.Sprintf("request-%d.body", n), body}
	b.WriteString(" --data-binary @" + f.name)
	return f
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// appendQuoted appends s as one word of a POSIX shell (XCU 2.2.2): in single
// quotes, where nothing is special but the quote itself.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '\'')
	for i := range len(s) {
		if s[i] == '\'' {
			dst = append(dst, `'\''`...)
			continue
		}
		dst = append(dst, s[i])
	}
	return append(dst, '\'')
}
