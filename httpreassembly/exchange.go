package httpreassembly

import (
	"time"

	"stallwatch/capture"
)

// Exchange is a request and its answer. The Tracker owns it and reuses it:
// it may be read from RequestStarted until the Events that carried its
// ExchangeDone were consumed (the next call of Recycle). What is kept longer
// has to be copied.
//
// The byte slices are an attacker's text.
type Exchange struct {
	// Slot is a small number, unique among the exchanges alive in one
	// Tracker: an index for side tables of later stages.
	Slot int32

	// Settled at RequestStarted.
	StreamID     uint32 // of HTTP/2; 0 in HTTP/1
	Conn         ConnID
	Flow         capture.Flow
	Depth        int // 1 for the first request on its connection
	RequestStart capture.Time

	// Settled at RequestSeen, or at HeadSeen if that was told.
	*Head                // never nil; empty until it was read
	Outcome      Outcome // settled at ExchangeDone
	Body         []byte  // first Options.BodyPrefix bytes of the content, chunking removed. Valid in RequestSeen only; see Options.LendBodies
	RequestBody  int64   // content bytes, chunking removed
	RequestBytes int64   // head, framing and content
	RequestEnd   capture.Time
	Peer         *capture.Flow // the ends that a PROXY header named; nil: there was none

	*Answer       // never nil; zero until ResponseSeen
	Lost    int64 // bytes of this exchange that were not captured; settled at ExchangeDone
}

// Answer is what an Exchange has besides from the first byte of its answer on:
// calls that hang, of which there may be many, have none.
type Answer struct {
	// Settled at ResponseSeen.
	Status        int
	ResponseStart capture.Time

	// Settled at ExchangeDone.
	ResponseBody  int64
	ResponseBytes int64
	ResponseTail  []byte // last bytes of the content, at most TailBytes: IRI puts its own "duration" there
	ResponseEnd   capture.Time
}

// noAnswer is that of an Exchange whose answer has not begun. Nobody writes to it.
var noAnswer Answer

// Head is what is kept of a request's head. Exchanges that were asked in the
// same words share one, so nobody but the Tracker may write to it.
type Head struct {
	Method, Target  []byte // Target at most MaxTarget bytes, the rest counted in TargetBytes
	Host            []byte
	ContentType     []byte
	ContentEncoding []byte
	UserAgent       []byte
	ForwardedFor    []byte // X-Forwarded-For, the values of all such fields joined by ", "
	Forwarded       []byte // RFC 7239
	TargetBytes     int
	HasAPIVersion   bool // X-IOTA-API-Version is present

	text []byte // what the fields point to, of a head that one call has for itself
	next *Head  // the next one free
}

// noHead is that of an Exchange whose head was not read.
var noHead Head

// Bounds of what an Exchange keeps of a head.
const (
	MaxTarget = 2048 // bytes; longer ones are real attacks or real mistakes, and both are told by their start
	MaxField  = 512  // bytes of each header field kept
	TailBytes = 64   // bytes; `,"duration":2147483647}` and white space fit
)

// Upload is the time from the first to the last byte of the request.
func (x *Exchange) Upload() time.Duration { return between(x.RequestStart, x.RequestEnd) }

// Wait is the time from the last byte of the request to the first byte of
// the final response: what the server took. Zero or negative is possible when
// a server answers before the request is whole.
func (x *Exchange) Wait() time.Duration { return between(x.RequestEnd, x.ResponseStart) }

// Download is the time from the first to the last byte of the response.
func (x *Exchange) Download() time.Duration { return between(x.ResponseStart, x.ResponseEnd) }

func between(a, b capture.Time) time.Duration {
	if a == 0 || b == 0 {
		return 0
	}
	return b.Sub(a)
}
