package lab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"stallwatch/capture"
)

// Listener is a listening socket of a Truth.
type Listener struct {
	Addr netip.AddrPort `json:"addr"`
}

// Conn is a connection of a Truth.
type Conn struct {
	Client   netip.AddrPort `json:"client"`
	Server   netip.AddrPort `json:"server"`
	State    string         `json:"state"`
	Accepted bool           `json:"accepted"`
}

// tell adds a socket with its addresses.
func (tr *Truth) tell(local, remote, stateHex, inode string) error {
	n, err := strconv.ParseUint(stateHex, 16, 8)
	if err != nil {
		return err
	}
	server, err := endOf(local)
	if err != nil {
		return err
	}
	client, err := endOf(remote)
	if err != nil {
		return err
	}
	if state := capture.State(n); state == capture.Listen {
		tr.Listen = append(tr.Listen, Listener{server})
	} else {
		tr.Conns = append(tr.Conns, Conn{client, server, state.String(), inode != "0"})
	}
	return nil
}

// endOf reads an address as the kernel prints it: words of 32 bits in the
// machine's order, each in hexadecimal (net/ipv4/tcp_ipv4.c:get_tcp4_sock).
func endOf(s string) (netip.AddrPort, error) {
	addr, portHex, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(portHex, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil
}
