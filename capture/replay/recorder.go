package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"stallwatch/capture"
)

// RecorderOptions say how to write. The zero value of a field takes its
// default.
type RecorderOptions struct {
	Overwrite bool   // replace files that are there
	SnapLen   uint32 // what the file's header says, bytes (0: 262144, as tcpdump)
}

// Recorder writes a Source's items so that Open reads them back the same: the
// packets to a pcap with nanoseconds, the rest to the side file beside it.
// Errors are final. It is not safe for concurrent use.
type Recorder struct {
	path    string
	o       RecorderOptions
	files   [2]*os.File
	packets *bufio.Writer
	side    *bufio.Writer
	link    capture.LinkType
	begun   bool // the header is written, and link is valid
	line    []byte
	head    [16]byte
}

// NewRecorder creates path and its side file, for their owner's eyes only: a
// capture holds what users sent.
func NewRecorder(path string, o RecorderOptions) (*Recorder, error) {
	if o.SnapLen == 0 {
		o.SnapLen = 262144
	}
	r := &Recorder{path: path, o: o}
	for i, name := range []string{path, SidePath(path)} {
		f, err := create(name, o.Overwrite)
		if err != nil {
			if i == 1 {
				r.files[0].Close()
				os.Remove(path)
			}
			return nil, err
		}
		r.files[i] = f
	}
	r.packets = bufio.NewWriterSize(r.files[0], blockSize)
	r.side = bufio.NewWriterSize(r.files[1], 64<<10)
	return r, nil
}

// ErrExists is why a recording does not begin: its file is there.
var ErrExists = errors.New("is there already: choose another name, or remove it first")

func create(name string, overwrite bool) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if overwrite {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	if st, err := os.Stat(name); err == nil && st.IsDir() {
		return nil, fmt.Errorf("%s is a directory: name a file in it", printable(name))
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s %w", printable(name), ErrExists)
	}
	return f, err
}

// Write appends it; a Tick leaves no trace.
func (r *Recorder) Write(it *capture.Item) error {
	switch it.Kind {
	case capture.PacketSeen:
		return r.packet(it)
	case capture.HostSampled, capture.PacketsLost:
		return r.aside(it)
	}
	return nil
}

func (r *Recorder) packet(it *capture.Item) error {
	if !r.begun {
		if err := r.begin(it.Packet.Link); err != nil {
			return err
		}
	}
	p := &it.Packet
	if p.Link != r.link {
		return fmt.Errorf("%s: a packet of link type %d among those of %d: a pcap holds one; record one interface, or any", printable(r.path), p.Link, r.link)
	}
	if it.At < 0 || it.At.Std().Unix() > 1<<32-1 {
		return fmt.Errorf("%s: the time %v does not fit into a pcap", printable(r.path), it.At)
	}
	o, h := binary.LittleEndian, r.head[:]
	o.PutUint32(h, uint32(it.At/1e9))
	o.PutUint32(h[4:], uint32(it.At%1e9))
	o.PutUint32(h[8:], uint32(len(p.Data)))
	o.PutUint32(h[12:], uint32(max(p.Length, len(p.Data))))
	if _, err := r.packets.Write(h); err != nil {
		return err
	}
	_, err := r.packets.Write(p.Data)
	return err
}

// begin writes the file header. It waits for the first packet, which knows
// the link type.
func (r *Recorder) begin(link capture.LinkType) error {
	r.begun, r.link = true, link
	o, h := binary.LittleEndian, make([]byte, 24)
	o.PutUint32(h, magicNano)
	o.PutUint16(h[4:], 2) // version 2.4
	o.PutUint16(h[6:], 4)
	o.PutUint32(h[16:], r.o.SnapLen)
	o.PutUint32(h[20:], uint32(link))
	_, err := r.packets.Write(h)
	return err
}

func (r *Recorder) aside(it *capture.Item) error {
	var err error
	if r.line, err = appendLine(r.line[:0], it); err != nil {
		return fmt.Errorf("%s: %w", printable(SidePath(r.path)), err)
	}
	if len(r.line) > maxLine {
		return fmt.Errorf("%s: a line of %d bytes, %d at most", printable(SidePath(r.path)), len(r.line), maxLine)
	}
	_, err = r.side.Write(r.line)
	return err
}

// Flush hands what is buffered to the operating system.
func (r *Recorder) Flush() error {
	return errors.Join(r.packets.Flush(), r.side.Flush())
}

// Close writes that the recording ended at end, the time of the source's last
// Item, and closes the files.
func (r *Recorder) Close(end capture.Time) error {
	var err error
	if !r.begun {
		err = r.begin(capture.LinkEthernet) // a capture without packets is a capture
	}
	err = errors.Join(err, r.aside(&capture.Item{At: end, Kind: capture.Tick}), r.Flush())
	for _, f := range r.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
