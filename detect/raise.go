package detect

import "stallwatch/capture"

// measured is the number that an alert is about, and from which one on it fires.
type measured struct {
	value, limit float64
	unit         string
}

// incident is the identity of a detector's one incident of a node.
func (n *node) incident(d detector) incidentKey {
	return incidentKey{detector: d.name(), node: n.id}
}

// raise raises an incident of a node with what is known of the node beside
// it; nil: there is nothing to say. The caller finds the words, and keeps
// them with lifecycle.remember.
func (v *view) raise(l *lifecycle, n *node, key incidentKey, sev Severity, m measured, at capture.Time) *Alert {
	a := l.raise(at, key, n, sev, m.value)
	if a == nil {
		return nil
	}
	a.Unit, a.Limit, a.Confidence = m.unit, m.limit, v.loss.confidence()
	a.Evidence = v.evidence(n, at)
	a.Evidence.Leg = v.legOf(n, at)
	return a
}
