package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stallwatch/capture"
	"stallwatch/capture/decode"
	"stallwatch/capture/replay"
	"stallwatch/cmd/internal/advise"
	"stallwatch/cmd/internal/records"
	"stallwatch/detect"
)

// The files of a bundle.
const (
	packetsFile   = "packets.pcap"
	callsFile     = "calls.jsonl"
	timelineFile  = "timeline.txt"
	alertFile     = "alert.json"
	reproduceFile = "reproduce.sh"
	adviceFile    = "advise.txt"
	manifestFile  = "manifest.json"
)

// draft is a bundle that is being written.
type draft struct {
	w        *writer
	b        *bundle
	name     string
	dir      string // "" iff there is none
	rec      *replay.Recorder
	dec      *decode.Decoder
	flows    selection
	requests requests
	timeline []moment
	files    []manifestEntry
	size     int64
	err      error

	seg         capture.Segment
	link        capture.LinkType
	first, last capture.Time // of the packets written
	packets     uint64
	bytes       int64
	otherLinks  uint64 // packets of another link type than the first: a pcap holds one
	cut         uint64 // packets beyond MaxPackets
	samples     int
	dropped     uint64
}

func (d *draft) init() {
	d.dec = decode.New(decode.Options{})
	d.flows = newSelection(d.b.alert)
	d.requests.init(d.b.alert)
}

// selection says which packets belong to an alert: all of its server, since
// what one call is blamed for depends on what the node did with the others,
// and those of the one client it names, to whatever port. Behind a proxy the
// clients of the evidence have no packets of their own. About no server, as
// CaptureLoss is: nobody's packets.
type selection struct {
	server capture.Endpoint // invalid: no packets
	client detect.Client    // invalid: nobody stands out
}

func newSelection(a *detect.Alert) selection {
	return selection{capture.EndpointOf(a.Server), a.Client}
}

func (s *selection) has(g *capture.Segment) bool {
	return s.between(g.Src, g.Dst) || s.between(g.Dst, g.Src)
}

func (s *selection) between(client, server capture.Endpoint) bool {
	if !s.server.IsValid() {
		return false
	}
	return server == s.server || s.client.IsValid() && client.IsValid() && s.client.Contains(client.Addr()) && server.Addr() == s.server.Addr()
}

// take writes a job's packets and samples.
func (d *draft) take(j *job) error {
	var err error
	for it := range j.packets.Packets {
		if !d.wanted(it) {
			continue
		}
		if err = d.packet(it); err != nil {
			return err
		}
	}
	for i := range j.samples {
		if err = d.rec.Write(&j.samples[i]); err != nil {
			return err
		}
		d.samples++
	}
	d.timeline = append(d.timeline, j.timeline...)
	if j.last {
		d.dropped = j.dropped
	}
	return nil
}

// wanted also takes every fragment that waits for others: whose it is shows
// in the first one only.
func (d *draft) wanted(it *capture.Item) bool {
	before := d.dec.Stats().Skipped[decode.FragmentWaiting]
	if !d.dec.Segment(&it.Packet, it.At, &d.seg) {
		return d.dec.Stats().Skipped[decode.FragmentWaiting] > before
	}
	if !d.flows.has(&d.seg) {
		return false
	}
	d.requests.segment(&d.seg)
	return true
}

func (d *draft) packet(it *capture.Item) error {
	if d.packets == 0 {
		d.link, d.first = it.Packet.Link, it.At
	}
	if it.Packet.Link != d.link {
		d.otherLinks++
		return nil
	}
	if d.bytes+int64(len(it.Packet.Data)) > d.w.o.MaxPackets {
		d.cut++
		return nil
	}
	d.packets++
	d.bytes += int64(len(it.Packet.Data))
	d.last = it.At
	return d.rec.Write(it)
}

// finish writes the other files and puts all on disk.
func (d *draft) finish(end capture.Time) error {
	rec := d.rec
	d.rec = nil
	if err := rec.Close(max(end, d.last)); err != nil {
		return err
	}
	if err := d.add(packetsFile, filepath.Base(replay.SidePath(packetsFile))); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{
		{callsFile, d.calls()}, {timelineFile, appendTimeline(nil, d.b.alert, d.timeline)}, {alertFile, d.alert()}, {adviceFile, d.advice()},
	} {
		if err := d.put(f.name, f.data, 0o600); err != nil {
			return err
		}
	}
	script := d.requests.script(d.b.alert, d.w.o.Full)
	for _, f := range script.files {
		if err := d.put(f.name, f.data, 0o600); err != nil {
			return err
		}
	}
	if err := d.put(reproduceFile, script.text, 0o700); err != nil {
		return err
	}
	manifest, err := json.MarshalIndent(d.manifest(end), "", "  ")
	if err != nil {
		return err
	}
	if err := d.put(manifestFile, append(manifest, '\n'), 0o600); err != nil {
		return err
	}
	return syncPath(d.dir)
}

func (d *draft) discard() {
	if d.rec != nil {
		d.rec.Close(d.last)
		d.rec = nil
	}
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}

// put writes a file, puts it on disk and notes it.
func (d *draft) put(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	return d.add(name)
}

// add puts files that are written on disk and notes them.
func (d *draft) add(names ...string) error {
	for _, name := range names {
		f, err := os.Open(filepath.Join(d.dir, name))
		if err != nil {
			return err
		}
		h := sha256.New()
		n, err := io.Copy(h, f)
		if err == nil {
			err = f.Sync()
		}
		f.Close()
		if err != nil {
			return err
		}
		d.size += n
		d.files = append(d.files, manifestEntry{name, n, hex.EncodeToString(h.Sum(nil))})
	}
	return nil
}

// calls writes the ledger: every call over its budget at the alert, with the
// age it had then.
func (d *draft) calls() []byte {
	var b bytes.Buffer
	r := d.records(&b)
	at := d.b.alert.At
	for _, p := range d.b.calls {
		now := *p
		now.Age = max(at.Sub(p.RequestEnd), 0)
		r.Finding(&detect.Finding{At: at, Kind: detect.CallPending, Pending: &now})
	}
	r.Flush()
	return b.Bytes()
}

func (d *draft) records(b *bytes.Buffer) *records.Writer {
	return records.New(b, records.Options{Redact: !d.w.o.Full, Version: d.w.o.Version, Sources: []string{packetsFile}})
}

// alert writes the alert's record alone.
func (d *draft) alert() []byte {
	var b bytes.Buffer
	r := d.records(&b)
	r.Finding(&detect.Finding{At: d.b.alert.At, Kind: detect.AlertChanged, Alert: d.b.alert})
	r.Flush()
	_, line, _ := bytes.Cut(b.Bytes(), []byte("\n")) // the first is the stream's
	return line
}

func (d *draft) advice() []byte {
	var b bytes.Buffer
	in := advise.FromAlert(d.b.alert, d.w.o.Advise)
	if slices.ContainsFunc(d.b.calls, reference2018) {
		in.Reference = advise.Reference2018
	}
	advise.Write(&b, advise.Advise(in))
	return b.Bytes()
}

// reference2018 recognises the reference of January 2018 by its fingerprint.
func reference2018(p *detect.Pending) bool {
	print, ok := p.Call.Shape.RefPrint()
	return ok && print == advise.Print2018()
}

// manifest is manifest.json.
type manifest struct {
	Version    int             `json:"version"` // of this format
	Stallwatch string          `json:"stallwatch,omitempty"`
	Alert      string          `json:"alert"`
	Subject    string          `json:"subject"`
	Severity   string          `json:"severity"`
	At         string          `json:"time"`
	Full       bool            `json:"full"` // values of parameters are in
	First      string          `json:"first_packet,omitempty"`
	Last       string          `json:"last_packet,omitempty"`
	End        string          `json:"end"`
	Replay     string          `json:"replay"` // the command that tells it again
	Packets    uint64          `json:"packets"`
	Samples    int             `json:"samples"`
	Calls      int             `json:"calls"`
	Requests   int             `json:"requests"` // in reproduce.sh
	NotKept    uint64          `json:"packets_not_kept"`
	Beyond     uint64          `json:"packets_beyond_limit"`
	OtherLinks uint64          `json:"packets_of_other_link_type"`
	Files      []manifestEntry `json:"files"`
}

type manifestEntry struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (d *draft) manifest(end capture.Time) manifest {
	a := d.b.alert
	m := manifest{Version: 1, Stallwatch: d.w.o.Version, Alert: a.Name, Subject: a.Subject, Severity: fmt.Sprint(a.Severity), At: a.At.String(), Full: d.w.o.Full,
		End: end.String(), Replay: strings.Join(slices.Concat([]string{"stallwatch", "replay"}, d.w.o.ReplayFlags, []string{packetsFile}), " "), Packets: d.packets, Samples: d.samples, Calls: len(d.b.calls), Requests: len(d.requests.found()), NotKept: d.dropped, Beyond: d.cut,
		OtherLinks: d.otherLinks, Files: d.files}
	if d.packets > 0 {
		m.First, m.Last = d.first.String(), d.last.String()
	}
	return m
}
