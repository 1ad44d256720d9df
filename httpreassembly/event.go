package httpreassembly

import (
	"stallwatch/capture"
)

// ConnID names a connection: the time of its first packet in Unix
// nanoseconds. It is unique because a source's times strictly grow.
type ConnID int64

// Kind says what an Event reports.
type Kind uint8

// The kinds of Event, in the order a plain exchange produces them.
const (
	Opened         Kind = iota + 1 // the server answered a SYN, or a connection was picked up in its middle (MidStream)
	RequestStarted                 // first byte of a request
	RequestSeen                    // last byte of a request: the server owes an answer from here on
	ResponseSeen                   // first byte of the final response (1xx are not final)
	ExchangeDone                   // the exchange has its Outcome; Exchange is valid for the last time
	HalfClosed                     // By sent its FIN, in order, and the other side has not: by the client, this is CLOSE_WAIT on the node
	Gap                            // Bytes bytes of direction Dir were not captured
	Odd                            // the wire said something a parser must not swallow
	Closed                         // Conn is over; Connection is valid
	SynUnanswered                  // a SYN got no reaction for SynPatience, or was repeated: the accept queue is full or the host is away
	Refused                        // a SYN was answered by RST: nobody listens

	// The kinds below tell of segments, not of messages: how bytes were cut
	// decides whether they come. Each comes on a change only, RequestProgress
	// and ResponseProgress once a second at most.

	Established      // the client completed the handshake; not of a connection picked up in its middle
	HeadSeen         // a request's head is whole, and its content takes further segments
	RequestProgress  // a request's content goes on: Bytes of the request came so far
	ResponseProgress // an answer goes on: Bytes of it came so far
	Retransmitting   // bytes of Dir came again, which the other end has not acknowledged
	Acknowledged     // it has now: a Retransmitting of Dir is over
	WindowClosed     // the receiver of Dir has no room; Bytes it has taken so far
	WindowOpened     // it has again
	Knocked          // a SYN to a port that is not watched; only with Options.Perimeter, and so is the next
	PortRefused      // such a port answered by RST: nobody listens there

	// The kinds below are for who runs the Tracker and belong to no
	// connection's story.

	BodyPart     // the next bytes of a request's content, from its first on, see Tracker.Part; only with Options.BodyParts
	LevelChanged // the Tracker reads less or more than before: Bytes is the Level. Conn and Flow are zero
)

// Side is one end of a connection.
type Side uint8

// The sides; Nobody when neither did it (eviction, end of capture).
const (
	Nobody Side = iota
	Client
	Server
)

// How says how a connection ended.
type How uint8

// The ends of a connection.
const (
	StillOpen    How = iota
	ByFIN            // both sides sent FIN
	ByRST            // By sent RST
	ByIdle           // silent for Options.Idle with nothing owed
	ByEviction       // a bound of Options was reached
	ByCaptureEnd     // the capture ended
	ByReuse          // the server accepted a new connection on the same addresses and ports
	ByPause          // nobody watched for a while, and what it waited for may have come
)

// Outcome says how an exchange ended.
type Outcome uint8

// The outcomes; see the records documentation for their exact meaning.
const (
	Unfinished   Outcome = iota
	Answered             // a final response, whole
	ClientGone           // the client closed or reset before the answer was complete
	ServerClosed         // the server closed without completing an answer
	ServerReset          // the server reset
	Cut                  // the capture ended or the state was evicted
	Lost                 // a hole in the capture, or a time when nobody watched, hides it
	Unread               // on a kept connection the server closed as the request came: it was not read, and may be made again (RFC 9112 9.3.1)
)

// Event is one thing that happened on a connection. Fields hold by kind.
// An Event is complete in itself: it never changes after it was emitted. The
// Exchange it points to does, as the exchange goes on; a consumer reads only
// what the Event's kind says is settled (see Exchange).
type Event struct {
	At   capture.Time
	Kind Kind
	By   Side        // HalfClosed, Closed
	How  How         // Closed
	Dir  capture.Dir // Gap, Odd, Retransmitting, Acknowledged, WindowClosed, WindowOpened
	Odd  Oddity      // Odd
	// Due is set when At is a deadline's time and no packet's. Events of
	// several shards are merged by (At, Due first, Conn).
	Due       bool
	MidStream bool // Opened: picked up without its handshake
	// Early is set in RequestSeen when the final answer had begun before the
	// request was whole, and in the ResponseSeen of that answer.
	Early bool
	// Slot is a small number, unique among the connections alive in one
	// Tracker: an index for side tables of later stages. It is given to another
	// connection when nothing more will be told of this one, its exchanges
	// included. -1: Conn is no connection's (Knocked, PortRefused, LevelChanged).
	Slot     int32
	Conn     ConnID
	Flow     capture.Flow
	Bytes    int64       // Gap: how many bytes, -1 if unknown; RequestProgress, ResponseProgress, WindowClosed, WindowOpened
	Detail   string      // Odd: a constant or number of ours, never bytes of the wire
	Exchange *Exchange   // RequestStarted, RequestProgress, RequestSeen, ResponseSeen, ExchangeDone
	Summary  *Connection // Closed
}

// Connection is what remains of a connection that ended.
type Connection struct {
	Opened    capture.Time
	State     ConnState    // at its end
	Exchanges int          // requests seen on it
	Bytes     [2]int64     // payload bytes by capture.Dir
	CloseWait capture.Time // when the client half-closed it; zero: it did not, or the server closed first
	History   string       // Zeek's letters, at most 32: S h A D F R and so on, upper case from the client
	Protocol  Protocol
	NotHTTP   bool
}

// ConnState is the state of a connection as the packets tell it.
type ConnState uint8

// The states of a connection.
const (
	StateSyn          ConnState = iota // SYN seen, no answer
	StateHandshake                     // SYN-ACK seen, client's ACK not confirmed
	StateOpen                          // data may flow both ways
	StateHalfClosed                    // client's FIN in order, none of the server's: CLOSE_WAIT on the node
	StateServerClosed                  // server's FIN in order, none of the client's
	StateClosed                        // both FINs
	StateReset                         // an acceptable RST
	StateZombie                        // reset by the client while a call was unanswered: no socket in any table, but the process still holds the descriptor
	StateEvicted
	NumConnStates
)

// Protocol is what a connection was found to speak.
type Protocol uint8

// The protocols the tracker recognises.
const (
	ProtoUnknown Protocol = iota
	ProtoHTTP1
	ProtoTLS
	ProtoHTTP2
	ProtoOther
	ProtoUpgraded // HTTP/1.1 that handed off: CONNECT or 101
)
