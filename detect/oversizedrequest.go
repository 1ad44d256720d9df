package detect

import (
	"fmt"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// oversizedRequest fires at requests that no node needs to serve: the node
// reads them whole before it can refuse.
type oversizedRequest struct{}

func (oversizedRequest) name() string { return "OversizedRequest" }

func (d oversizedRequest) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.OversizedRequest
	a, count := v.often(l, n, d, oversized, Rate{o.Calls, o.Within}, Warning, at)
	if a == nil {
		return
	}
	a.Summary = fmt.Sprintf("%s to %s beyond what a node serves, the last of %s", plural(count, "call"), n.name(), a.Command)
	a.Why = fmt.Sprintf("%d within %s (fires at %d) with more than %d list elements or %d bytes of content; the largest had %.0f",
		count, inSeconds(o.Within), o.Calls, o.Elements, o.Body, n.deeds[oversized].most)
	l.remember(n.incident(d), a)
}

// longList reports whether a list has more elements than a node serves. Of a
// body that was cut, the part that was read speaks for the whole.
func (v *view) longList(x *httpreassembly.Exchange, verdict *rules.Verdict) bool {
	n := int64(verdict.Shape.Longest())
	if verdict.Cut && x.RequestBody > bodyRead {
		n = n * (x.RequestBody / (bodyRead >> 10)) >> 10
	}
	return n > int64(v.o.OversizedRequest.Elements)
}

// bodyRead is how much of a body the rules look at unless told otherwise
// (httpreassembly.Options.BodyPrefix).
const bodyRead = 64 << 10
