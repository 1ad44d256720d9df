package detect

import (
	"fmt"

	"stallwatch/capture"
)

// captureLoss fires when the monitor itself missed so much of the last minute
// that what it says is worth less.
type captureLoss struct{}

func (captureLoss) name() string { return "CaptureLoss" }

func (d captureLoss) judge(v *view, _ *node, at capture.Time, l *lifecycle) {
	o := &v.o.CaptureLoss
	w := &v.loss
	if w.lostPackets() < o.MinPackets && w.now.gapBytes < o.MinBytes {
		return
	}
	ratio := w.ratio()
	sev := Info
	switch {
	case ratio <= o.Info:
		return
	case ratio > o.Warn:
		sev = Warning
	}
	key := incidentKey{detector: d.name()}
	a := l.raise(at, key, nil, sev, ratio)
	if a == nil {
		return
	}
	a.Unit, a.Limit = "ratio", o.Info
	if sev == Warning {
		a.Limit = o.Warn
	}
	a.Evidence.LostPackets, a.Evidence.GapBytes = w.lostPackets(), w.now.gapBytes
	a.Summary = fmt.Sprintf("the capture missed about %s of the last minute: counts are lower bounds and calls may seem to hang", percent(ratio))
	a.Why = fmt.Sprintf("%d packets dropped by the kernel, %d by the interface, of about %d; %d bytes in holes of %d (info above %s, warning above %s)",
		w.now.kernel, w.now.iface, w.now.packets+w.lostPackets(), w.now.gapBytes, w.now.bytes+w.now.gapBytes, percent(o.Info), percent(o.Warn))
	l.remember(key, a)
}
