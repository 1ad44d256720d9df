package lab

import (
	"fmt"
	"io"
	"net"
	"time"
)

// BannerCommand is the hidden sub-command under which makelab calls Banner.
const BannerCommand = "banner"

// Banner is all that a password guesser sees of an SSH server: it greets each
// connection on addr, one at a time, reads a line's worth and closes. It ends
// with an error, or when it is killed.
func Banner(addr string) error {
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(time.Second)) // a guest that stays must not stop the others
		fmt.Fprint(c, "SSH-2.0-OpenSSH_7.2p2 Ubuntu-4ubuntu2.2\r\n")
		io.CopyN(io.Discard, c, 64) // whatever it says, and its end
		c.Close()
	}
}
