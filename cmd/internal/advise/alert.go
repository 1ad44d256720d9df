package advise

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"stallwatch/detect"
)

// FromAlert returns base with what a says: its name, command, clients and
// server, and whether its culprit carried a reference.
func FromAlert(a *detect.Alert, base Input) Input {
	base.Alert, base.Command, base.Server, base.Port = a.Name, a.Command, a.Server.Addr(), a.Server.Port()
	base.Leg = LegOf(&a.Evidence.Leg)
	base.Clients = appendNew(nil, a.Client)
	for _, c := range a.Evidence.Clients {
		base.Clients = appendNew(base.Clients, c.Client)
	}
	for i := range a.Evidence.Calls {
		base.culprit(a.Evidence.Calls[i].Command, a.Evidence.Calls[i].Shape)
	}
	return base
}

// culprit takes what the first call of the evidence says, the culprit.
func (in *Input) culprit(command, shape string) {
	if in.Command == "" {
		in.Command = command
	}
	if in.Reference != ReferenceUnknown || command != "getTransactionsToApprove" {
		return
	}
	in.Reference = ReferenceNone
	if strings.Contains(" "+shape, " reference(81)") { // which one a shape does not say
		in.Reference = ReferenceUnknown
	} else if strings.Contains(" "+shape, " reference") {
		in.Reference = ReferenceOther
	}
}

func appendNew(list []detect.Client, c detect.Client) []detect.Client {
	if !c.IsValid() || len(list) >= MaxClients || slices.Contains(list, c) {
		return list
	}
	return append(list, c)
}

// record is what is read of a record of type alert.
type record struct {
	Type, State, Alert, Command, Severity string
	Server                                netip.AddrPort
	Client                                detect.Client
	Evidence                              struct {
		Calls []struct {
			Command, Shape string
		}
		Clients []struct{ Client detect.Client }
		Leg     struct {
			Side   string
			Paired int
			GaveUp int `json:"proxy_gave_up"`
		}
	}
}

// leg reads the words of a record.
func (a *record) leg() Leg {
	l := detect.Leg{Paired: a.Evidence.Leg.Paired, GaveUp: a.Evidence.Leg.GaveUp}
	for _, s := range []detect.LegSide{detect.FrontLeg, detect.NodeLeg} {
		if a.Evidence.Leg.Side == s.String() {
			l.Side = s
		}
	}
	return LegOf(&l)
}

// maxRecord bounds a line of a file of records, in bytes: an alert is a few
// KiB, and what is longer is none.
const maxRecord = 1 << 20

// weight orders alerts by what advice can do about them. One that names a
// command names the cause; what came of it, as NodeDown, is told later and
// often worse.
func (a *record) weight() int {
	w := 0
	for s := detect.Info; s <= detect.Critical; s++ {
		if a.Severity == s.String() {
			w = int(s)
		}
	}
	if a.Command != "" {
		w += int(detect.Critical) + 1
	}
	return w
}

// FromRecords reads the stream of records that replay --json and watch
// --records write, and returns base with a firing alert of the name
// base.Alert, or of any name if that is empty: one that names a command before
// one that does not, then the worst, then the last. The records are not
// trusted: see Input.Validate.
func FromRecords(r io.Reader, base Input) (Input, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var best *record
	bad := 0
	for {
		line, err := readLine(in)
		if len(line) > 0 {
			var a record
			switch json.Unmarshal(line, &a) {
			case nil:
				if a.Type == "alert" && a.State == "firing" && (base.Alert == "" || base.Alert == a.Alert) &&
					(best == nil || a.weight() >= best.weight()) {
					best = &a
				}
			default:
				bad++
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return base, err
		}
	}
	switch {
	case best == nil && bad > 0:
		return base, fmt.Errorf("no firing alert among the records, and %d lines that are none: is it what replay --json writes?", bad)
	case best == nil && base.Alert != "":
		return base, fmt.Errorf("no firing alert %s among the records", base.Alert)
	case best == nil:
		return base, errors.New("no firing alert among the records")
	}
	return best.input(base), nil
}

func (a *record) input(base Input) Input {
	base.Alert, base.Command, base.Server, base.Port = a.Alert, a.Command, a.Server.Addr(), a.Server.Port()
	base.Leg = a.leg()
	base.Clients = appendNew(nil, a.Client)
	for _, c := range a.Evidence.Clients {
		base.Clients = appendNew(base.Clients, c.Client)
	}
	for _, c := range a.Evidence.Calls {
		base.culprit(c.Command, c.Shape)
	}
	return base
}

// readLine returns the next line; of one that is too long, nothing.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line) <= maxRecord {
			line = append(line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if len(line) > maxRecord {
			return nil, err
		}
		return line, err
	}
}
