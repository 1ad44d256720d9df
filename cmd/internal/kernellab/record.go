package kernellab

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"stallwatch/capture"
)

// The files of a row that was played: NAME.pcap.zst, Ethernet with
// nanoseconds, and NAME.checks.jsonl, a checkpoint a
// line.
const (
	packetsSuffix = ".pcap.zst"
	checksSuffix  = ".checks.jsonl"
)

// Save writes a row's packets and checkpoints to dir.
func Save(dir, name string, frames []Frame, checks []Check) error {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	pcap := z.EncodeAll(appendPcap(nil, tcpOnly(frames)), nil)
	var list bytes.Buffer
	out := json.NewEncoder(&list)
	for i := range checks {
		if err := out.Encode(&checks[i]); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, name+packetsSuffix), pcap, 0o644),
		os.WriteFile(filepath.Join(dir, name+checksSuffix), list.Bytes(), 0o644))
}

// tcpOnly drops the lab's own pings.
func tcpOnly(frames []Frame) []Frame {
	var kept []Frame
	for _, f := range frames {
		if len(f.Data) > 23 && f.Data[12] == 8 && f.Data[13] == 0 && f.Data[14+9] == 6 {
			kept = append(kept, f)
		}
	}
	return kept
}

// Load reads what Save wrote.
func Load(dir, name string) ([]Frame, []Check, error) {
	checks, err := loadChecks(filepath.Join(dir, name+checksSuffix))
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(filepath.Join(dir, name+packetsSuffix))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	defer z.Close()
	frames, err := readPcap(z)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name+packetsSuffix, err)
	}
	return frames, checks, nil
}

func loadChecks(path string) ([]Check, error) {
	list, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	var checks []Check
	for in := json.NewDecoder(list); ; {
		var c Check
		if err := in.Decode(&c); err == io.EOF {
			return checks, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		checks = append(checks, c)
	}
}

// Numbers of pcap-savefile(5).
const (
	magicNanoseconds = 0xa1b23c4d
	fileHeader       = 24
	packetHeader     = 16
	snapLength       = 1 << 16
)

func appendPcap(b []byte, frames []Frame) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, magicNanoseconds)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, snapLength)
	b = le.AppendUint32(b, uint32(capture.LinkEthernet))
	for _, f := range frames {
		b = le.AppendUint32(b, uint32(int64(f.At)/1e9))
		b = le.AppendUint32(b, uint32(int64(f.At)%1e9))
		b = le.AppendUint32(b, uint32(len(f.Data)))
		b = le.AppendUint32(b, uint32(len(f.Data)))
		b = append(b, f.Data...)
	}
	return b
}

func readPcap(r io.Reader) ([]Frame, error) {
	le := binary.LittleEndian
	head := make([]byte, fileHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if le.Uint32(head) != magicNanoseconds || le.Uint32(head[20:]) != uint32(capture.LinkEthernet) {
		return nil, errors.New("not a file of this lab")
	}
	var frames []Frame
	for {
		p := head[:packetHeader]
		if _, err := io.ReadFull(r, p); err == io.EOF {
			return frames, nil
		} else if err != nil {
			return nil, err
		}
		n := le.Uint32(p[8:])
		if n > snapLength {
			return nil, fmt.Errorf("a packet of %d bytes", n)
		}
		f := Frame{At: capture.Time(int64(le.Uint32(p))*1e9 + int64(le.Uint32(p[4:]))), Data: make([]byte, n)}
		if _, err := io.ReadFull(r, f.Data); err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
}
