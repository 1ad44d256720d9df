package detect

import "stallwatch/capture"

// detector judges a node, or the capture, at an instant: it reads the view
// and raises what holds. It keeps no count of events of its own; what it
// needs is folded in the view once for all. What it keeps between instants
// (how long a forecast held) stands in the node.
type detector interface {
	// name is the Name of its alerts.
	name() string
	// judge raises what holds at at. n is nil for a detector of the capture.
	judge(v *view, n *node, at capture.Time, l *lifecycle)
}

// nodeDetectors are asked for each node, in this order.
var nodeDetectors = []detector{
	nodeDown{}, // first the ones that others are a consequence of
	captureBlind{},
	nodeUnresponsive{},
	callStalled{},
	descriptorExhaustion{},
	closeWaitBuildup{},
	acceptQueueFull{},
	synFlood{},
	connectionFlood{},
	requestFlood{},
	slowRequest{},
	slowReader{},
	powAbuse{},
	adminCommand{},
	oversizedRequest{},
	suspectParameters{},
	malformedRequests{},
	unknownCommands{},
	latencyRegression{},
	nodeRestarted{},
	portScan{},
	loginProbe{},
}

// captureDetectors are asked once, before the nodes.
var captureDetectors = []detector{
	captureLoss{},
}
