package rules

// Bounds of what a request may make Classify look at or keep. They are not
// options: each is far above what an honest client sends.
const (
	// maxName bounds the name of a command or a parameter in bytes; the
	// longest of the embedded packs has 50. What is longer is unknown.
	maxName = 64
	// maxKeys bounds the different JSON keys that name commands in one Set.
	maxKeys = 4
	// maxParams bounds the parameter names of a Set: their index is a byte,
	// and the topmost values stand for the keys.
	maxParams = 255 - maxKeys
	// maxCalls bounds the calls of a batch that are looked at; geth refuses
	// more than 1000 (node/defaults.go, BatchRequestLimit). Further ones are
	// counted as Other.
	maxCalls = 1000
	// maxPath bounds a path in bytes, and maxSegments its segments: no route
	// that a node knows is as long.
	maxPath     = 1024
	maxSegments = 16
	// maxInflated bounds what is unpacked of a compressed body: as much as is
	// kept of a plain one.
	maxInflated = 64 << 10
)
