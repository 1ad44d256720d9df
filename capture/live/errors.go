package live

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/google/gopacket/pcap"
)

// What can go wrong, for errors.Is; the text of each error is one line that
// says what to do.
var (
	ErrNoInterface   = errors.New("no such interface")
	ErrPermission    = errors.New("not allowed to capture")
	ErrFilter        = errors.New("bad filter")
	ErrSnapLen       = errors.New("bad snap length")
	ErrInterfaceDown = errors.New("interface went down")
	ErrLinkType      = errors.New("unknown link type")
)

// filterHint says what was meant where an argument is no pcap-filter but what
// other programs take there.
func filterHint(user string) string {
	if _, err := strconv.ParseUint(user, 10, 16); err == nil {
		return fmt.Sprintf("; a port is given by -p %s", user)
	}
	if _, err := net.InterfaceByName(user); err == nil {
		return fmt.Sprintf("; an interface is given by -i %s", user)
	}
	return "; want a pcap-filter expression, as in 'not host 10.0.0.7'"
}

// noInterface lists what there is instead of name.
func noInterface(name string) error {
	var names []string
	list, err := Interfaces()
	if err == nil {
		for _, i := range list {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%w: %q; try \"any\"", ErrNoInterface, name)
	}
	return fmt.Errorf("%w: %q; there are: %s", ErrNoInterface, name, strings.Join(names, ", "))
}

// noPermission names the capability and the line that gives it.
func noPermission(name string) error {
	self, err := os.Executable()
	if err != nil {
		self = "/path/to/stallwatch"
	}
	return fmt.Errorf("%w on %q: the capability CAP_NET_RAW is missing; run: sudo setcap cap_net_raw=ep %s (in a systemd unit: AmbientCapabilities=CAP_NET_RAW), or run as root",
		ErrPermission, name, shellQuote(self))
}

// noPromiscuous is the same for the right that promiscuous mode takes more.
func noPromiscuous(name string) error {
	return fmt.Errorf("%w on %q in promiscuous mode: capture without it, or give the capability CAP_NET_ADMIN as well",
		ErrPermission, name)
}

func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// activateError turns gopacket's and libpcap's words into ours. gopacket
// gives the status as an unexported type whose text is all there is.
func activateError(name string, buffer int, inactive *pcap.InactiveHandle, err error) error {
	words := inactive.Error().Error()
	switch {
	case strings.Contains(err.Error(), "No Such Device"), strings.Contains(words, "No such device"):
		return noInterface(name)
	case strings.Contains(words, "CAP_NET_ADMIN"), strings.Contains(words, "promiscuous"):
		return noPromiscuous(name)
	case strings.Contains(err.Error(), "Permission Denied"), strings.Contains(words, "ermission"), strings.Contains(words, "not permitted"):
		return noPermission(name)
	case strings.Contains(err.Error(), "Not Up"), strings.Contains(words, "is not up"):
		return fmt.Errorf("%w: %q is not up; run: sudo ip link set %s up", ErrInterfaceDown, name, shellQuote(name))
	case strings.Contains(words, "allocate memory"), strings.Contains(words, "mmap"):
		return fmt.Errorf("open %q: no memory for a ring of %d bytes; give a smaller buffer: %s", name, buffer, words)
	}
	if words == "" {
		words = err.Error()
	}
	return fmt.Errorf("open %q: %s", name, words)
}
