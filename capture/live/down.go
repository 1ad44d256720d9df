package live

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// readError says what a failed read means.
func (h *handle) readError() error {
	words := h.pcap.Error().Error()
	if strings.Contains(words, "went down") || strings.Contains(words, "disappeared") {
		return fmt.Errorf("%w: %q; bring it up and start again, or capture on \"any\", which outlives its interfaces",
			ErrInterfaceDown, h.name)
	}
	return fmt.Errorf("read from %q: %s", h.name, words)
}

// alive looks, when the ring is empty and not more than once a second,
// whether the interface is still there and up. libpcap says so only in
// blocking mode: the socket of a removed interface stays open and silent, and
// silence must not look like peace.
func (h *handle) alive(now time.Time) error {
	if since := now.Sub(h.lastLook); h.ifindex == 0 || since >= 0 && since < pollEvery {
		return nil
	}
	h.lastLook = now
	i, err := net.InterfaceByName(h.name)
	if err != nil || i.Index != h.ifindex { // gone, or another one by its name
		return fmt.Errorf("%w: %q is gone; start again when it is back, or capture on \"any\", which outlives its interfaces",
			ErrInterfaceDown, h.name)
	}
	if i.Flags&net.FlagUp == 0 {
		return fmt.Errorf("%w: %q; bring it up (sudo ip link set %s up) and start again, or capture on \"any\"",
			ErrInterfaceDown, h.name, shellQuote(h.name))
	}
	return nil
}
