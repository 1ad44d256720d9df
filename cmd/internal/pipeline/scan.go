package pipeline

import (
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// content is a request's content that comes in parts: too long to be kept.
type content struct {
	set     *rules.Set
	scan    *rules.Scan   // nil: verdict holds
	verdict rules.Verdict // of a compressed content: by its first part, which is all that was kept until then
}

// contents are those of a shard: at most so many at once. Further ones are
// counted and not read; which they are is remembered until their end.
type contents struct {
	open    map[int32]*content // by Exchange.Slot
	refused map[int32]struct{}
	most    int
	missed  uint64
}

func newContents(most int) contents {
	return contents{open: map[int32]*content{}, refused: map[int32]struct{}{}, most: most}
}

// part reads p, the next bytes of x's content.
func (cs *contents) part(set *rules.Set, x *httpreassembly.Exchange, p []byte) {
	c := cs.open[x.Slot]
	if c == nil {
		if c = cs.begin(set, x, p); c == nil {
			return
		}
	}
	if c.scan != nil {
		c.scan.Write(p)
	}
}

// begin takes a new content up, if there is room.
func (cs *contents) begin(set *rules.Set, x *httpreassembly.Exchange, p []byte) *content {
	if _, ok := cs.refused[x.Slot]; ok {
		return nil
	}
	if len(cs.open) >= cs.most {
		cs.refused[x.Slot] = struct{}{}
		cs.missed++
		return nil
	}
	c := &content{set: set}
	if rules.Packed(x.ContentEncoding, p) {
		r := requestOf(x)
		r.Body, r.BodyBytes = p, int64(len(p))+1 // more follows
		c.verdict = set.Classify(r)
	} else {
		c.scan = set.NewScan()
	}
	cs.open[x.Slot] = c
	return c
}

// end forgets x's content and returns its verdict; nil if it was not read in
// parts.
func (cs *contents) end(set *rules.Set, x *httpreassembly.Exchange) *rules.Verdict {
	if len(cs.refused) > 0 {
		delete(cs.refused, x.Slot)
	}
	if len(cs.open) == 0 {
		return nil
	}
	c := cs.open[x.Slot]
	if c == nil {
		return nil
	}
	delete(cs.open, x.Slot)
	v := &c.verdict
	if c.scan != nil {
		*v = c.scan.Classify(requestOf(x))
	}
	if c.set != set { // the rules were reloaded meanwhile: an index keeps its meaning
		v.Command = set.Commands()[v.Command.Index]
		for i := range v.Batch {
			v.Batch[i].Command = set.Commands()[v.Batch[i].Command.Index]
		}
	}
	return v
}

func requestOf(x *httpreassembly.Exchange) *rules.Request {
	return &rules.Request{
		Method: x.Method, Target: x.Target,
		ContentType: x.ContentType, ContentEncoding: x.ContentEncoding,
		Body: x.Body, BodyBytes: x.RequestBody,
	}
}
