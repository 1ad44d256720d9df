package advise

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"stallwatch/cmd/internal/config"
	"stallwatch/cmd/internal/text"
	"stallwatch/detect"
	"stallwatch/rules"
)

// Proxy is what stands in front of the node.
type Proxy uint8

// The proxies. ProxyUnknown is treated with care: advice for every case, and
// no ban of an address that may be a proxy.
const (
	ProxyUnknown Proxy = iota
	ProxyNone
	HAProxy
	Nginx
)

var proxyWords = [...]string{"unknown", "none", "haproxy", "nginx"}

// String returns the word that ParseProxy reads.
func (p Proxy) String() string { return proxyWords[min(int(p), len(proxyWords)-1)] }

// ParseProxy reads none, haproxy, nginx or unknown.
func ParseProxy(s string) (Proxy, error) {
	if i := slices.Index(proxyWords[:], s); i >= 0 {
		return Proxy(i), nil
	}
	return 0, fmt.Errorf("proxy %q: want haproxy, nginx, none or unknown%s", text.Escape(s), near(s, proxyWords[:]))
}

// near proposes the nearest of names for one that is not known.
func near(s string, names []string) string {
	if best := rules.Nearest(s, names, 3); best != "" {
		return " (did you mean " + best + "?)"
	}
	return ""
}

// Reference is what is known of a getTransactionsToApprove call's parameter
// `reference`, the lever of January 2018.
type Reference uint8

// What a reference may be.
const (
	ReferenceUnknown Reference = iota
	ReferenceNone
	ReferenceOther
	Reference2018 // the hash of Known2018
)

// Known2018 is the reference of the attack of 25 January 2018: the deny rule
// of iri-playbook b1e31a8, kept ever since as its haproxy_bad_command.
const Known2018 = "GFCCGTGSUEVBZYFK9QNAHOVHXUMEATUFLGBZLDKMOGWCXVUZDVEJVCLLCJJ9NQOIMOLMUMFMGZSI99999"

// MaxClients bounds the addresses of an Input: more than these are no list
// for a person to check.
const MaxClients = 64

// Input is what advice depends on. The zero value of a field means that it is
// not known.
type Input struct {
	Alert     string          // its name
	Command   string          // of the rules' closed set
	API       string          // the pack that names Command; "" if any does
	Clients   []detect.Client // who did it, the busiest first
	Server    netip.Addr      // the watched address
	Port      uint16          // the watched port (0: 14265)
	Proxy     Proxy
	Trusted   []netip.Prefix // networks of proxies
	Reference Reference
	Leg       Leg
	Rules     *rules.Set // the closed set (nil: the embedded rules)
}

// alertName is the form of an alert's name, those of rule files included.
var alertName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

// CheckAlert refuses the name of an alert that neither stallwatch nor the
// rules have: advice on nothing would look like advice.
func (in *Input) CheckAlert() error {
	names := slices.Clone(Alerts)
	if in.Rules != nil {
		for _, a := range in.Rules.Alerts() {
			names = append(names, a.Name)
		}
	}
	if in.Alert == "" || slices.Contains(names, in.Alert) {
		return nil
	}
	return fmt.Errorf("no alert is named %q%s; those of your own files are known with --rules, and \"stallwatch rules show --doc\" lists the others",
		text.Escape(in.Alert), near(in.Alert, names))
}

// Validate says what of in cannot be used.
func (in *Input) Validate() error {
	if in.Alert != "" && !alertName.MatchString(in.Alert) {
		return fmt.Errorf("alert %q: want a name like %s", text.Escape(in.Alert), strings.Join(Alerts[:4], ", "))
	}
	if in.Command != "" {
		if _, err := findCommand(in); err != nil {
			return err
		}
	}
	if len(in.Clients) > MaxClients {
		return fmt.Errorf("%d clients: want at most %d", len(in.Clients), MaxClients)
	}
	for _, c := range in.Clients {
		if !c.IsValid() {
			return fmt.Errorf("a client without an address")
		}
	}
	return nil
}

// defaults fills in what has a default and drops what cannot be used; what it
// drops is told by notes.
func (in Input) defaults() (out Input, notes []string) {
	if in.Port == 0 {
		in.Port = config.DefaultPort
	}
	if in.Rules == nil {
		in.Rules = rules.Default()
	}
	if in.Alert != "" && !slices.Contains(Alerts, in.Alert) {
		in.Alert = ""
		notes = append(notes, "The alert is not one of stallwatch's own: this is what helps in general.")
	}
	if n := len(in.Clients) - MaxClients; n > 0 {
		notes = append(notes, fmt.Sprintf("%d more clients were left out: with so many, limits for all do more than a list.", n))
	}
	var clients []detect.Client
	for _, c := range in.Clients[:min(len(in.Clients), MaxClients)] {
		if c.IsValid() && !slices.Contains(clients, c) {
			clients = append(clients, c)
		}
	}
	in.Clients = clients
	return in, notes
}

// exempt are the networks that no rule may hit: this machine and its proxies.
func (in *Input) exempt() []netip.Prefix {
	list := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, p := range in.Trusted {
		if p.IsValid() && !slices.Contains(list, p.Masked()) {
			list = append(list, p.Masked())
		}
	}
	if s := in.Server.Unmap().WithZone(""); s.IsValid() && !s.IsUnspecified() && !s.IsLoopback() {
		list = append(list, netip.PrefixFrom(s, s.BitLen()))
	}
	return list
}

// spared says why a must not be banned; "" if it may.
func (in *Input) spared(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "is this machine itself: a local proxy or monitor"
	case a.IsUnspecified(), a.IsMulticast():
		return "is no client's address"
	case a.IsLinkLocalUnicast():
		return "is a link-local address, as gateways and metadata services have"
	}
	for _, p := range in.exempt() {
		if p.Contains(a) {
			return "is a trusted proxy or the node's own address"
		}
	}
	if in.Proxy != ProxyNone && len(in.Trusted) == 0 && a.IsPrivate() {
		return "is a private address and may be your load balancer: say --proxy none, or name the proxies with --trusted, if it is not"
	}
	return ""
}

// culprits are the networks that a rule may name, and what is to be said of
// the others. Of an IPv6 client it is the whole /64: an address less is none
// to him. Not so where that would hit whom no rule may hit, or in a local
// network, where a /64 is everybody.
func (in *Input) culprits() (list []netip.Prefix, notes []string) {
	for _, c := range in.Clients {
		why := in.spared(c.Addr())
		network := c.Prefix()
		switch wide := c.Network(); {
		case !in.hitsExempt(wide) && !c.Addr().IsPrivate():
			network = wide
		case why == "" && in.hitsExempt(network):
			why = "holds a trusted proxy or the node's own address"
		}
		if why != "" {
			notes = append(notes, fmt.Sprintf("%s is left out: it %s.", c, why))
			continue
		}
		if slices.Contains(list, network) {
			continue
		}
		if network != c.Prefix() {
			notes = append(notes, fmt.Sprintf("Of %s its whole network is named, %s: whoever has one address there has them all.", c, network))
		}
		list = append(list, network)
	}
	return list, notes
}

// hitsExempt reports whether a rule for p would hit whom none may hit.
func (in *Input) hitsExempt(p netip.Prefix) bool {
	return slices.ContainsFunc(in.exempt(), p.Overlaps)
}

// Print2018 is the fingerprint of Known2018, as rules.Shape.RefPrint makes
// it: what recognises the reference in a call whose values are not kept.
func Print2018() uint64 {
	sum := sha256.Sum256([]byte(Known2018))
	return binary.BigEndian.Uint64(sum[:8])
}
