package advise

import (
	"fmt"
	"strings"

	"stallwatch/rules"
)

// iriDefaultLimit is what IRI refuses to others by itself since 1.5.6; before,
// and in a configuration that sets the key, it must be repeated.
const iriDefaultLimit = "addNeighbors, getNeighbors, removeNeighbors, attachToTangle, interruptAttachingToTangle"

// nodeSections are the node's own means.
func nodeSections(p *plan) []Section {
	if !p.needs(byCommand|pow|headers) || p.cmd == nil {
		return nil
	}
	switch {
	case p.cmd.key == "command" && p.cmd.API == "iri":
		return []Section{iriLimit(p.cmd.Command), hornetPermit(p.cmd.Command)}
	case strings.HasPrefix(p.cmd.path, "/api/v1/"), strings.HasPrefix(p.cmd.path, "/api/core/v2/"), strings.HasPrefix(p.cmd.path, "/api/debug/"), strings.HasPrefix(p.cmd.path, "/api/plugins/"):
		return []Section{hornetRoutes(p.cmd)}
	}
	return nil
}

func iriLimit(c *rules.Command) Section {
	limit := iriDefaultLimit
	if !strings.Contains(", "+limit+",", ", "+c.Name+",") {
		limit += ", " + c.Name
	}
	const restart = "systemctl restart iri.service"
	return Section{ID: "iri-limit", Title: "IRI: refuse " + c.Name + " to all but this machine",
		Parts: []Part{{IRIConfig, "REMOTE_LIMIT_API = " + limit + "\n"}},
		Apply: restart,
		Undo:  fmt.Sprintf("sed -i.bak '/^REMOTE_LIMIT_API *=/s/, %s$//' /etc/iri/iri.ini && %s", c.Name, restart),
		Cost: "Costs every other client this command, and a restart, which also lets go of all that hangs. Take the place of a REMOTE_LIMIT_API that is there. " +
			"IRI never limits calls from loopback: behind a proxy on the same machine this does nothing, reject in the proxy instead. Paths of iri.ini and the service differ (the playbook: /var/lib/iri/target)."}
}

func hornetPermit(c *rules.Command) Section {
	edit := func(op string) string {
		return fmt.Sprintf(`cp -p config.json config.json.bak && jq '.httpAPI.permitRemoteAccess %s ["%s"]' config.json.bak > config.json && systemctl restart hornet.service`, op, c.Name)
	}
	return Section{ID: "hornet-permit", Title: "HORNET 0.4 and 0.5: take " + c.Name + " out of permitRemoteAccess",
		Parts: []Part{{Shell, edit("-=") + "\n"}},
		Undo:  edit("+="),
		Cost:  "Costs every client but the whitelisted addresses this command (they get 403), and a restart. Run it where config.json is, with jq. A proxy on the same machine is whitelisted as 127.0.0.1: reject in the proxy then."}
}

func hornetRoutes(c *command) Section {
	route := routePattern.Replace(c.path)
	edit := func(op string) string {
		return fmt.Sprintf(`cp -p config.json config.json.bak && jq '.restAPI.publicRoutes %s ["%s"]' config.json.bak > config.json && systemctl restart hornet.service`, op, route)
	}
	return Section{ID: "hornet-routes", Title: "HORNET 1.x and 2.x: take " + c.path + " out of the public routes",
		Parts: []Part{{Shell, edit("-=") + "\n"}},
		Undo:  edit("+="),
		Cost:  "Costs every client without a token this route, with every method, and a restart. It has an effect only if publicRoutes lists exactly this route: one ending in * covers it as well, and must be replaced by those that shall stay open."}
}

// routePattern turns the packs' routes into HORNET's, where * stands for any
// part.
var routePattern = strings.NewReplacer("{id}", "*", "{index}", "*", "{address}", "*", "ed25519/{address}", "ed25519/*")

// hostSections are means of the machine the node runs on.
func hostSections(p *plan) (out []Section) {
	if p.needs(descriptors) {
		out = append(out, moreDescriptors())
	}
	if p.needs(syn) {
		out = append(out, synCookies())
	}
	if p.needs(ssh) {
		out = append(out, keysOnly())
	}
	if p.needs(recording) {
		out = append(out, largerBuffer())
	}
	return out
}

// moreDescriptors buys time: a running process takes a new limit at once. In
// 2018 nodes ran at the default of 4096, and the playbook's cure was 65535.
func moreDescriptors() Section {
	const pid = `prlimit --pid "$(systemctl show --property MainPID --value iri.service)" --nofile=`
	return Section{ID: "descriptors", Title: "The node's machine: more descriptors, at once and without a restart",
		Parts: []Part{{Shell, pid + "65535:65535\n"}},
		Undo:  pid + "4096:4096",
		Cost:  "Costs some kernel memory for each socket that hangs, and nothing is cured: it buys time. Name the node's own service (hornet.service, ...); to keep it over restarts set LimitNOFILE=65535 with \"systemctl edit\"."}
}

func synCookies() Section {
	return Section{ID: "syn", Title: "The node's machine: answer SYN floods with cookies",
		Parts: []Part{{Shell, "sysctl -w net.ipv4.tcp_syncookies=1 net.ipv4.tcp_max_syn_backlog=4096\n"}},
		Undo:  "sysctl -w net.ipv4.tcp_syncookies=1 net.ipv4.tcp_max_syn_backlog=512",
		Cost:  "Costs nothing measurable; connections made by cookie lose some TCP options. Look first at what is set (sysctl net.ipv4.tcp_max_syn_backlog): the undo line has a common default. An accept queue that is full because the node does not accept is not helped by it."}
}

func keysOnly() Section {
	const file = "/etc/ssh/sshd_config.d/10-stallwatch.conf"
	return Section{ID: "ssh", Title: "The node's machine: SSH by key only",
		Parts: []Part{{Shell, "printf 'PasswordAuthentication no\\n' > " + file + " && sshd -t && systemctl reload ssh\n"}},
		Undo:  "rm -f " + file + " && systemctl reload ssh",
		Cost:  "Costs everybody without a key the login: have a second session open that logged in by key before you do this."}
}

func largerBuffer() Section {
	return Section{ID: "capture", Title: "stallwatch: lose fewer packets",
		Parts: []Part{{Note, "Start stallwatch with a larger ring (--buffer-size 128MiB) and only the ports of the node (-p); on an interface with much other traffic name that interface (-i) in place of any.\n"}},
		Cost:  "Costs that much memory for each interface."}
}
