package httpreassembly

// seq is a TCP sequence number. Numbers wrap, so two of them are only ever
// compared by the sign of their difference (RFC 9293 section 3.4).
type seq uint32

// sub returns how far s lies beyond r, negative if before.
func (s seq) sub(r seq) int32 { return int32(s - r) }

// before reports whether s lies before r.
func (s seq) before(r seq) bool { return int32(s-r) < 0 }

// after reports whether s lies after r.
func (s seq) after(r seq) bool { return int32(s-r) > 0 }
