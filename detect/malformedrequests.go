package detect

import (
	"fmt"

	"stallwatch/capture"
	"stallwatch/httpreassembly"
)

// malformedRequests fires at clients that do not speak the API's language.
type malformedRequests struct{}

func (malformedRequests) name() string { return "MalformedRequests" }

func (d malformedRequests) judge(v *view, n *node, at capture.Time, l *lifecycle) {
	o := &v.o.MalformedRequests
	a, count := v.often(l, n, d, malformed, Rate{o.Calls, o.Within}, Warning, at)
	if a == nil {
		return
	}
	a.Unit = "requests"
	a.Summary = fmt.Sprintf("%s to %s that are no HTTP or no JSON", plural(count, "request"), n.name())
	a.Why = fmt.Sprintf("%d within %s (fires at %d)", count, inSeconds(o.Within), o.Calls)
	l.remember(n.incident(d), a)
}

// malformedOddities are those of a client that does not speak HTTP, or speaks
// it to be misread. Legal and rare is none.
var malformedOddities = func() (is [httpreassembly.NumOddities]bool) {
	for _, o := range []httpreassembly.Oddity{
		httpreassembly.NotHTTP, httpreassembly.TLSInstead, httpreassembly.BadRequestLine, httpreassembly.BadHeader,
		httpreassembly.ObsFold, httpreassembly.BareCR, httpreassembly.NulInHead, httpreassembly.SpaceBeforeColon, httpreassembly.HeadTooLarge,
		httpreassembly.BadContentLength, httpreassembly.ContentLengthDiffers, httpreassembly.LengthAndChunked, httpreassembly.BadTransferCoding,
		httpreassembly.BadChunk, httpreassembly.VersionUnknown, httpreassembly.PipelineTooDeep,
	} {
		is[o] = true
	}
	return is
}()
