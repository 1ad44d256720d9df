package freeport

import (
	"net"
	"testing"
)

// TestHold: whoever names the port gets it, again and again, and whoever asks
// for any port does not.
func TestHold(t *testing.T) {
	held := Hold(t)
	for range 3 {
		l, err := net.Listen("tcp", held.String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", held.String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	for range 2000 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == held.String() {
			t.Fatalf("%v was given away", held)
		}
		l.Close()
	}
}
