package synth

import (
	"encoding/binary"
	"io"

	"stallwatch/capture"
)

// appendFrame appends the packet as an Ethernet frame with right lengths and
// checksums.
func appendFrame(b []byte, p *packet) []byte {
	src, dst := p.c.flow.Client, p.c.flow.Server
	if p.dir == capture.ToClient {
		src, dst = dst, src
	}
	b = append(b, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	tcpLen := 20 + p.payload
	if src.Addr().Is4() {
		b = append(b, 8, 0, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+tcpLen))
		b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
		ip := b[len(b)-20:]
		binary.BigEndian.PutUint16(ip[10:], ^capture.Fold(capture.Sum(0, ip)))
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(tcpLen))
		b = append(b, 6, 64)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	}
	return appendTCP(b, p, src, dst)
}

func appendTCP(b []byte, p *packet, src, dst capture.Endpoint) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ack)
	b = append(b, 5<<4, byte(p.flags), 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, p.msg[p.at:p.at+p.payload]...)
	tcp := b[start:]
	pseudo := capture.Sum(capture.Sum(uint64(6+len(tcp)), src.Addr().AsSlice()), dst.Addr().AsSlice())
	binary.BigEndian.PutUint16(tcp[16:], ^capture.Fold(capture.Sum(pseudo, tcp)))
	return b
}

// WritePcap writes the packets of src as a little-endian pcap file with
// nanoseconds.
func WritePcap(w io.Writer, src capture.Source) error {
	head := make([]byte, 24)
	binary.LittleEndian.PutUint32(head, 0xa1b23c4d)
	binary.LittleEndian.PutUint16(head[4:], 2)
	binary.LittleEndian.PutUint16(head[6:], 4)
	binary.LittleEndian.PutUint32(head[16:], 262144)
	binary.LittleEndian.PutUint32(head[20:], uint32(capture.LinkEthernet))
	if _, err := w.Write(head); err != nil {
		return err
	}
	var it capture.Item
	rec := make([]byte, 16)
	for {
		if err := src.Next(&it); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(rec, uint32(int64(it.At)/1e9))
		binary.LittleEndian.PutUint32(rec[4:], uint32(int64(it.At)%1e9))
		binary.LittleEndian.PutUint32(rec[8:], uint32(len(it.Packet.Data)))
		binary.LittleEndian.PutUint32(rec[12:], uint32(it.Packet.Length))
		if _, err := w.Write(rec); err != nil {
			return err
		}
		if _, err := w.Write(it.Packet.Data); err != nil {
			return err
		}
	}
}
