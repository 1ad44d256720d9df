package httpreassembly

// Oddity names something the wire said that a parser must not swallow.
// The list is closed; each has the section that it offends.
type Oddity uint8

// The oddities.
const (
	OddNone Oddity = iota

	// TCP
	OverlapDiffers   // a retransmission or overlap with other bytes (RFC 9293 3.10.7.4; Ptacek/Newsham)
	BadTCPChecksum   // a segment the kernel drops (RFC 9293 3.1)
	ResetOutOfWindow // an RST the kernel answers with a challenge ACK or ignores (RFC 5961 3.2)
	SynInConnection  // a SYN inside a live connection (RFC 5961 4.2)
	DataInSyn        // payload in a SYN, not delivered without TFO (RFC 7413)
	UrgentData       // an urgent byte, taken out of the stream by Linux (RFC 6093)
	StaleTimestamp   // PAWS would drop it (RFC 7323 5.3)
	DataAfterFin     // payload beyond a FIN
	FragmentsOverlap // IP fragments that overlap (RFC 5722)
	PacketCut        // the snap length cut payload that was needed

	// HTTP
	NotHTTP              // a watched connection does not speak HTTP
	TLSInstead           // it speaks TLS
	HTTP2Instead         // it speaks HTTP/2 in clear, which is read (RFC 9113)
	ProxyHeader          // a PROXY protocol header stands first
	BadRequestLine       // RFC 9112 3
	BadStatusLine        // RFC 9112 4
	BadHeader            // RFC 9112 5
	ObsFold              // RFC 9112 5.2
	BareLF               // RFC 9112 2.2
	BareCR               // RFC 9112 2.2
	NulInHead            // RFC 9110 5.5
	SpaceBeforeColon     // RFC 9112 5.1
	HeadTooLarge         // beyond Options.MaxHead
	BadContentLength     // not digits, or beyond 2^63 (RFC 9112 6.3 rule 5)
	ContentLengthDiffers // several with different values (RFC 9112 6.3 rule 5)
	LengthAndChunked     // Content-Length and Transfer-Encoding together (RFC 9112 6.3 rule 3)
	BadTransferCoding    // chunked is not last, or not alone (RFC 9112 6.3 rule 4)
	BadChunk             // RFC 9112 7.1
	ChunkExtension       // RFC 9112 7.1.1: legal, rare, a smuggling tool
	Trailers             // RFC 9112 7.1.2: legal, rare
	MethodUnknown        // not in the IANA registry's common ones
	VersionUnknown       // not HTTP/1.0 or 1.1; HTTP/0.9
	EarlyResponse        // an answer before the request was whole
	UnaskedResponse      // an answer nobody asked for
	ExtraBytes           // bytes after the end of the last message
	PipelineTooDeep      // beyond Options.MaxPipeline
	Informational        // a chain of more than 16 1xx answers
	RequestUnread        // on a kept connection that the server had closed, or closed as it came (RFC 9112 9.3.1)
	BodyOnBodyless       // content where none may be: HEAD, 204, 304 (RFC 9112 6.3 rule 1)

	// HTTP/2
	BadFrame   // frames that end a connection (RFC 9113 5.4.1)
	RapidReset // more than 100 unanswered streams reset by the client (CVE-2023-44487)

	NumOddities
)
