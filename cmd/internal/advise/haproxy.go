package advise

import (
	"fmt"
	"regexp"
	"strings"

	"stallwatch/rules"
)

// The playbook's limits of January 2018 for one client (nuriel77/iri-playbook,
// haproxy.cfg.j2): what a wallet never reaches and a script does.
const (
	connsIn3s     = 50
	requestsIn10s = 200
	openConns     = 7
	requestsIn5m  = 500
	powConnsIn15s = 2
	powIn20s      = 10
	powOpen       = 1
)

const (
	haproxyFile  = "/etc/haproxy/haproxy.cfg"
	haproxyApply = "haproxy -c -f " + haproxyFile + " && systemctl reload haproxy"
)

func haproxySection(id, title, cost string, parts ...Part) Section {
	return Section{ID: id, Title: "HAProxy: " + title, Parts: parts, Apply: haproxyApply, Cost: cost,
		Undo: "sed -i.bak '/# stallwatch:" + id + "$/d' " + haproxyFile + " && " + haproxyApply}
}

// haproxy proposes rules for a frontend. The limits come first: HAProxy warns
// of tcp-request rules below http-request rules.
func haproxy(p *plan) (out []Section) {
	if p.needs(limits) {
		out = append(out, haproxyLimits(p))
	}
	if p.needs(byCommand|pow) && p.cmd != nil && p.cmd.path == "" {
		p.notes = append(p.notes, bodyLimits)
	}
	if p.needs(byCommand) && p.cmd != nil {
		out = append(out, haproxyReference(p)...)
		out = append(out, haproxyClients(p)...)
	}
	if p.needs(pow) && p.cmd != nil {
		out = append(out, haproxyPow(p))
	}
	if p.needs(headers) {
		out = append(out, haproxyHeaders(p))
	}
	if p.needs(timeouts) {
		out = append(out, haproxyTimeouts())
	}
	if p.needs(size) {
		out = append(out, haproxySize())
	}
	if p.needs(byCommand) && p.cmd != nil {
		out = append(out, haproxyCommand(p))
	}
	return out
}

// named are the lines that define the ACL of the plan's command, and the
// condition that it holds. Of a body HAProxy reads at most tune.bufsize bytes,
// and a name may be written with escapes: both ways around the expression are
// closed by their own line.
func (p *plan) named() (lines []string, cond string) {
	c := p.cmd
	acl := "stallwatch_" + c.ident()
	if c.path != "" {
		lines = append(lines, fmt.Sprintf("    acl %s path,url_dec -m reg -i '%s'", acl, c.route()))
		if c.method == "" {
			return lines, acl
		}
		return append(lines, fmt.Sprintf("    acl stallwatch_%s method %s", c.method, c.method)), "stallwatch_" + c.method + " " + acl
	}
	match := "str"
	name, family := c.prefix()
	if family {
		match = "beg"
	}
	return []string{
		"    option http-buffer-request",
		fmt.Sprintf("    acl %s req.body -m reg -i '%s'", acl, c.body()),
		fmt.Sprintf("    acl %s req.body,json_query('$.%s') -m %s -i %s", acl, c.key, match, name),
		fmt.Sprintf(`    acl %s req.body -m sub '\u00'`, acl),
	}, acl
}

// bodyLimits is told once, whatever the number of sections it holds for.
const bodyLimits = "HAProxy looks at the first tune.bufsize bytes of a body only (16384 unless set in global): a larger body can hide a name behind them. With the low maxconn of a node 131072 costs little. The lines with json_query need HAProxy 2.4: leave them out before."

func haproxyReference(p *plan) []Section {
	if p.cmd.Name != "getTransactionsToApprove" || p.in.Reference == ReferenceNone {
		return nil
	}
	const id = "haproxy-reference"
	lines, cond := p.named()
	var out []Section
	if p.in.Reference != ReferenceOther {
		deny := append(lines[:len(lines):len(lines)],
			"    acl stallwatch_reference2018 req.body -m sub "+Known2018,
			"    http-request deny if "+cond+" stallwatch_reference2018")
		out = append(out, haproxySection(id, "reject getTransactionsToApprove with the reference of January 2018",
			"Costs nothing: nobody honest asks for this transaction. Stops that one reference only.",
			Part{HAProxyFrontend, marked(id, deny...)}))
	}
	const any = "haproxy-any-reference"
	deny := append(lines[:len(lines):len(lines)],
		`    acl stallwatch_reference req.body -m reg '"reference"[[:space:]]*:'`,
		`    acl stallwatch_reference req.body -m sub '\u00'`,
		"    http-request deny if "+cond+" stallwatch_reference")
	return append(out, haproxySection(any, "reject getTransactionsToApprove with any reference",
		"Costs wallets the promotion of a transaction, which needs a reference; plain sending goes on.",
		Part{HAProxyFrontend, marked(any, deny...)}))
}

func haproxyClients(p *plan) []Section {
	if len(p.culprits) == 0 {
		return nil
	}
	const id = "haproxy-clients"
	lines, cond := p.named()
	from := "stallwatch_from_" + p.cmd.ident()
	lines = append(lines,
		fmt.Sprintf("    acl %s src %s", from, networks(p.culprits)),
		fmt.Sprintf("    http-request deny if %s %s", from, cond))
	return []Section{haproxySection(id, "reject "+p.cmd.Name+" from these clients",
		"Costs everybody behind the same address this command, nothing else. The client can come back from another address.",
		Part{HAProxyFrontend, marked(id, lines...)})}
}

func haproxyCommand(p *plan) Section {
	const id = "haproxy-command"
	lines, cond := p.named()
	lines = append(lines,
		"    acl stallwatch_exempt src "+prefixes(p.in.exempt()),
		"    http-request deny if "+cond+" !stallwatch_exempt")
	return haproxySection(id, "reject "+p.cmd.Name+" from everybody",
		"Costs every client this command: the last resort while an attack changes its addresses.",
		Part{HAProxyFrontend, marked(id, lines...)})
}

// haproxyLimits tracks clients in tables of their own and in the last
// tracking slots, which a configuration is least likely to use.
func haproxyLimits(p *plan) Section {
	const id = "haproxy-limits"
	return haproxySection(id, "limit each client, and ban for 5 minutes who goes beyond",
		fmt.Sprintf("Costs clients behind one address (an office, a mobile network) their share: %d new connections in 3 s, %d requests in 10 s, %d connections at once, %d requests in 5 minutes. For a public node the playbook later used 250, 400, 20 and 1000. The ban ends 5 minutes after the last try. Of many addresses each has the whole limit. Uses the tracking slots 1 and 2 (sc1, sc2).", connsIn3s, requestsIn10s, openConns, requestsIn5m),
		Part{HAProxyFrontend, marked(id,
			"    acl stallwatch_exempt src "+prefixes(p.in.exempt()),
			"    tcp-request connection track-sc2 src table stallwatch_clients if !stallwatch_exempt",
			"    tcp-request connection track-sc1 src table stallwatch_minutes if !stallwatch_exempt",
			"    tcp-request connection reject if { sc2_get_gpc0 gt 0 }",
			fmt.Sprintf("    acl stallwatch_abuse sc2_conn_rate gt %d", connsIn3s),
			fmt.Sprintf("    acl stallwatch_abuse sc2_http_req_rate gt %d", requestsIn10s),
			fmt.Sprintf("    acl stallwatch_abuse sc2_conn_cur gt %d", openConns),
			"    http-request sc-inc-gpc0(2) if stallwatch_abuse",
			"    http-request deny deny_status 429 if stallwatch_abuse",
			fmt.Sprintf("    http-request deny deny_status 429 if { sc1_http_req_rate gt %d }", requestsIn5m))},
		Part{HAProxyTop, marked(id,
			"backend stallwatch_clients",
			"    stick-table type ipv6 size 100k expire 5m store gpc0,conn_cur,conn_rate(3s),http_req_rate(10s)",
			"backend stallwatch_minutes",
			"    stick-table type ipv6 size 100k expire 5m store http_req_rate(5m)")})
}

func haproxyPow(p *plan) Section {
	const id = "haproxy-pow"
	lines, cond := p.named()
	lines = append(lines,
		"    acl stallwatch_exempt src "+prefixes(p.in.exempt()),
		"    http-request track-sc0 src table stallwatch_pow if "+cond+" !stallwatch_exempt",
		fmt.Sprintf("    http-request deny deny_status 429 if %s { sc0_conn_rate gt %d }", cond, powConnsIn15s),
		fmt.Sprintf("    http-request deny deny_status 429 if %s { sc0_http_req_rate gt %d }", cond, powIn20s),
		fmt.Sprintf("    http-request deny deny_status 429 if %s { sc0_conn_cur gt %d }", cond, powOpen))
	return haproxySection(id, "limit "+p.cmd.Name+" for each client",
		fmt.Sprintf("Costs wallets that attach many transactions at once: %d at a time, %d starts in 15 s, %d requests in 20 s for each address. For all clients together send it to a backend of its own with \"server ... maxconn 1\". Uses the tracking slot 0 (sc0).", powOpen, powConnsIn15s, powIn20s),
		Part{HAProxyFrontend, marked(id, lines...)},
		Part{HAProxyTop, marked(id,
			"backend stallwatch_pow",
			"    stick-table type ipv6 size 100k expire 5m store conn_cur,conn_rate(15s),http_req_rate(20s)")})
}

// haproxyHeaders are the playbook's checks of form. OPTIONS carries neither
// header nor body: without the exception browsers' wallets break, as they did
// until May 2018.
func haproxyHeaders(p *plan) Section {
	const id = "haproxy-headers"
	key := "command"
	if p.cmd != nil && p.cmd.key != "" {
		key = p.cmd.key
	} else if k := p.in.Rules.Key(p.in.API); plainName.MatchString(k) {
		key = k
	}
	lines := []string{
		"    option http-buffer-request",
		"    acl stallwatch_plain method GET HEAD OPTIONS",
		"    acl stallwatch_exempt src " + prefixes(p.in.exempt()),
		`    acl stallwatch_key req.body -m reg -i '"` + key + `"[[:space:]]*:'`,
		"    http-request deny deny_status 400 if !stallwatch_plain !stallwatch_key",
	}
	if key == "command" {
		lines = append(lines,
			"    acl stallwatch_version req.hdr(X-IOTA-API-Version) -m found",
			"    http-request deny deny_status 400 if !stallwatch_plain !stallwatch_version",
			"    acl stallwatch_admin req.body -m reg -i '"+adminBody(p.in.Rules, key)+"'",
			"    http-request deny if stallwatch_admin !stallwatch_exempt")
	}
	return haproxySection(id, "reject calls without the API's header or command, and administration",
		"Costs clients that leave out X-IOTA-API-Version (IRI refuses them anyway; HORNET does not ask for it: leave those two lines out there), and APIs with routes that share this frontend.",
		Part{HAProxyFrontend, marked(id, lines...)})
}

// maxAdminNames bounds the commands of adminBody: HAProxy takes lines of 2048
// bytes (global.h, LINESIZE).
const maxAdminNames = 20

// adminBody matches a body that names a command which changes or reveals the
// node, as the rules have it: the playbook's list of January 2018 is among
// them, and interruptAttachingToTangle, which aborts somebody else's work
// (iri#553).
func adminBody(set *rules.Set, key string) string {
	var names []string
	for _, c := range set.Commands() {
		if c.Admin && set.Key(c.API) == key && adminName.MatchString(c.Name) && len(names) < maxAdminNames {
			names = append(names, c.Name)
		}
	}
	return `"` + key + `"[[:space:]]*:[[:space:]]*"(` + strings.Join(names, "|") + `)"`
}

// adminName is a name without anything that a regular expression reads.
var adminName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

func haproxyTimeouts() Section {
	const id = "haproxy-timeouts"
	return haproxySection(id, "give up on requests that trickle and answers that nobody reads",
		"Costs clients on very slow lines; an upload has 10 s to be whole, a reader 5 minutes between two bytes. With http-buffer-request a body is read before the node sees it: it holds a buffer here, no worker there.",
		Part{HAProxyFrontend, marked(id,
			"    timeout http-request 10s",
			"    timeout client 5m",
			"    option http-buffer-request")})
}

func haproxySize() Section {
	const id = "haproxy-size"
	return haproxySection(id, "reject bodies over 1,000,000 bytes",
		"Costs nobody who keeps to the node's own limit (MAX_BODY_LENGTH), which the node checks only after it has read the whole. A chunked body has no length to check: the second line refuses it when it does not fit the buffer.",
		Part{HAProxyFrontend, marked(id,
			"    option http-buffer-request",
			"    http-request deny deny_status 413 if { req.hdr_val(content-length) gt 1000000 }",
			"    http-request deny deny_status 413 if { req.hdr(transfer-encoding) -m found } { req.body_len ge 15000 }")})
}
