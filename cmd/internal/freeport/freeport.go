// Package freeport gives tests a port for a server that cannot choose one and
// tell, as a program of others that takes its port from a file.
//
// To listen on port 0, close, and use the number leaves a gap in which another
// process, or an outgoing connection of one, may get the same. Here the port
// stays bound, without listening, until the test ends: the kernel then gives it
// to nobody who asks for any, and the server gets it all the same, since both
// set SO_REUSEADDR (bind(2); net/ipv4/inet_connection_sock.c), as Go, nginx and
// HAProxy do.
package freeport

import (
	"net/netip"
	"syscall"
)

// T is the part of *testing.T that Hold needs.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// Hold returns an address of loopback whose port is kept for the test.
func Hold(t T) netip.AddrPort {
	t.Helper()
	fd, port, err := bound()
	if err != nil {
		t.Fatal("keep a port:", err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return netip.AddrPortFrom(loopback, port)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func bound() (fd int, port uint16, err error) {
	syscall.ForkLock.RLock() // or a child that starts meanwhile would keep it, too
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, err
	}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback.As4()})
	}
	var name syscall.Sockaddr
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	if err != nil {
		syscall.Close(fd)
		return 0, 0, err
	}
	return fd, uint16(name.(*syscall.SockaddrInet4).Port), nil
}
