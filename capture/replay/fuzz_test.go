package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"reflect"
	"testing"

	"stallwatch/capture"
)

// ngBlock makes a pcapng block.
func ngBlock(o order, typ uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := make([]byte, 8, 12+len(body))
	o.PutUint32(b, typ)
	o.PutUint32(b[4:], uint32(12+len(body)))
	b = append(b, body...)
	return o.AppendUint32(b, uint32(12+len(body)))
}

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// u appends numbers and bytes.
func u(o order, parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case uint16:
			b = o.AppendUint16(b, p)
		case uint32:
			b = o.AppendUint32(b, p)
		case uint64:
			b = o.AppendUint64(b, p)
		case string:
			b = append(b, p...)
		}
	}
	return b
}

// ngFile makes two sections: interfaces in microseconds, in 2^-10 seconds and
// with an offset, and every block that holds a packet.
func ngFile(o order) []byte {
	block := func(typ uint32, body []byte) []byte { return ngBlock(o, typ, body) }
	shb := block(blockSection, u(o, uint32(byteOrderMagic), uint16(1), uint16(0), ^uint64(0)))
	micro := block(blockInterface, u(o, uint16(1), uint16(0), uint32(0)))
	binaryTime := block(blockInterface, u(o, uint16(101), uint16(0), uint32(0), uint16(optTSResol), uint16(1), "\x8a\x00\x00\x00", uint32(0)))
	offset := block(blockInterface, u(o, uint16(276), uint16(0), uint32(2), uint16(optTSResol), uint16(1), "\x09\x00\x00\x00", uint16(optTSOffset), uint16(8), uint64(100), uint32(0)))
	epb := func(id, ts uint32, data string) []byte {
		return block(blockEnhanced, u(o, id, uint32(0), ts, uint32(len(data)), uint32(60), data))
	}
	return bytes.Join([][]byte{shb, micro, binaryTime, block(0xbad, []byte("passed over")), epb(0, 1500000, "one"), epb(1, 2<<10+512, "two!"),
		block(blockPacket, u(o, uint16(0), uint16(0), uint32(0), uint32(3000000), uint32(3), uint32(3), "old")),
		shb, offset, epb(0, 5, "three"), block(blockSimple, u(o, uint32(60), "simple"))}, nil)
}

func TestPcapng(t *testing.T) {
	for _, o := range []order{binary.LittleEndian, binary.BigEndian} {
		for pack, b := range packings(t, ngFile(o)) {
			s, got := openAll(t, Options{}, write(t, filepath.Join(t.TempDir(), "x.pcapng"), b))
			packet := func(at capture.Time, data string, link capture.LinkType, id, length int) capture.Item {
				return capture.Item{At: at, Kind: capture.PacketSeen, Packet: capture.Packet{Data: []byte(data), Length: length, Link: link, Interface: id}}
			}
			want := []capture.Item{
				packet(1500e6, "one", 1, 0, 60), packet(2500e6, "two!", 101, 1, 60), packet(3e9, "old", 1, 0, 3),
				packet(100e9+5, "three", 276, 2, 60), packet(100e9+6, "si", 276, 2, 60), {At: 101e9 + 6, Kind: capture.Tick},
			}
			if !reflect.DeepEqual(got, want) || len(s.Errors()) > 0 {
				t.Errorf("%v %s: got %+v, %v\nwant %+v", o, pack, got, s.Errors(), want)
			}
		}
	}
}

func TestResolutions(t *testing.T) {
	for _, tt := range []struct {
		name    string
		resol   byte
		seconds int64
		ts      uint64
		want    capture.Time
	}{
		{"seconds", 0, 0, 7, 7e9},
		{"micro", 6, 0, 7000001, 7000001000},
		{"nano", 9, 0, 7000000001, 7000000001},
		{"pico", 12, 0, 7000000001999, 7000000001},
		{"halves", 0x81, 0, 3, 1500e6},
		{"finest", 0x80 | 63, 0, 1 << 62, 500e6},
		{"offset back", 9, -3, 5e9, 2e9},
		{"before 1970", 9, -9, 5e9, 1},
		{"after all", 0, 0, 1 << 63, maxTime - maxTime%1e9},
		{"offset beyond", 9, 1<<63 - 1, 0, maxTime - maxTime%1e9},
		{"offset below", 9, -1 << 63, 5, 5},
	} {
		i := ngInterface{resol: tt.resol, seconds: tt.seconds}
		if got := i.time(tt.ts); got != tt.want {
			t.Errorf("%s: time(%d) = %d, want %d", tt.name, tt.ts, got, tt.want)
		}
	}
}

// fuzzFormat reads data in pieces of a few bytes and whole: the packets must
// be the same, and bounded by the data.
func fuzzFormat(t *testing.T, data []byte, format func(*blocks) (reader, error)) {
	read := func(r io.Reader) (sum []byte, fail string) {
		p, err := format(newBlocks(r))
		if err != nil || p == nil {
			return nil, "no file"
		}
		for range len(data) + 1 {
			var x raw
			if err := p.next(&x); err != nil {
				return sum, err.Error()
			}
			if len(x.packet.Data) > len(data) || x.packet.Length < len(x.packet.Data) || x.at < 1 || x.at > maxTime {
				t.Errorf("packet %d of %d bytes at %d", len(x.packet.Data), x.packet.Length, x.at)
			}
			sum = append(sum, x.packet.Data...)
		}
		t.Error("more packets than bytes")
		return nil, ""
	}
	a, errA := read(bytes.NewReader(data))
	b, errB := read(inThrees{bytes.NewReader(data)})
	if !bytes.Equal(a, b) || errA != errB {
		t.Errorf("whole: %x, %s; in pieces: %x, %s", a, errA, b, errB)
	}
}

// inThrees reads three bytes at a time.
type inThrees struct{ r io.Reader }

func (o inThrees) Read(p []byte) (int, error) { return o.r.Read(p[:min(3, len(p))]) }

func FuzzPcap(f *testing.F) {
	f.Add(pcapFile(binary.LittleEndian, magicNano, second, 2*second))
	f.Add(pcapFile(binary.BigEndian, magicMicro, second))
	f.Add(pcapFile(binary.LittleEndian, magicModified, second))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFormat(t, data, newPcap) })
}

func FuzzPcapng(f *testing.F) {
	f.Add(ngFile(binary.LittleEndian))
	f.Add(ngFile(binary.BigEndian))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzFormat(t, data, newPcapng) })
}

func FuzzSideFile(f *testing.F) {
	f.Add([]byte(`{"type":"sample","time":"2018-01-02T03:04:05.6Z","pid":1,"sockets":{"close_wait":3},"conns":[]}` + "\n" + `{"type":"end","time":"2018-01-02T03:04:05.7Z"}`))
	f.Add([]byte(`{"type":"loss","time":"2018-01-02T03:04:05.6Z","kernel":4,"until":"2018-01-02T03:05:05.6Z","why":"stopped"}`))
	f.Add([]byte(`{"type":"loss","time":"2018-01-02T03:04:05Z","kernel":3}` + "\n\nx"))
	f.Add([]byte(`{"type":"end","time":"2115-12-31T23:30:00-01:00"}`)) // elsewhere it is 2116
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &sideReader{r: bufio.NewReaderSize(bytes.NewReader(data), 16)}
		for range len(data) + 2 {
			var it capture.Item
			err := s.next(&it)
			if _, bad := err.(*badLine); bad {
				continue
			} else if err != nil {
				return
			}
			again, err := appendLine(nil, &it)
			var back capture.Item
			if err != nil || parseLine(again, &back) != nil || back.At != it.At || back.Kind != it.Kind || back.Loss != it.Loss {
				t.Errorf("%q came back as %+v, %v", data, back, err)
			}
		}
		t.Errorf("no end of %q", data)
	})
}
