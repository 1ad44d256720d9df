package advise

import (
	"fmt"
	"strings"

	"stallwatch/detect"
)

const nginxApply = "nginx -t && systemctl reload nginx"

// nginxUndo deletes a section's lines wherever they were put. It keeps no
// copies: nginx would read those in sites-enabled.
func nginxUndo(id, also string) string {
	return "grep -rlZ '# stallwatch:" + id + "$' /etc/nginx | xargs -0 -r sed -i '/# stallwatch:" + id + "$/d' && " + also + nginxApply
}

func nginxSection(id, title, cost string, parts ...Part) Section {
	return Section{ID: id, Title: "nginx: " + title, Parts: parts, Apply: nginxApply, Cost: cost,
		Undo: nginxUndo(id, "")}
}

func nginx(p *plan) (out []Section) {
	if p.needs(byCommand) && p.cmd != nil && p.cmd.path != "" {
		out = append(out, nginxRoute(p))
	}
	if p.needs(byCommand|limits|ban) && len(p.culprits) > 0 {
		out = append(out, nginxClients(p))
	}
	if p.needs(limits | pow) {
		out = append(out, nginxLimits(p))
	}
	if p.needs(headers) {
		out = append(out, nginxHeaders())
	}
	if p.needs(timeouts | size) {
		out = append(out, nginxTimeouts())
	}
	if p.needs(byCommand|pow) && p.cmd != nil && p.cmd.path == "" {
		out = append(out, nginxScript(p))
	}
	return out
}

// nginxLimits are the playbook's numbers in nginx's terms: 200 requests in
// 10 s are 20 a second with a burst, 7 connections at once.
func nginxLimits(p *plan) Section {
	const id = "nginx-limits"
	http := []string{"    geo $stallwatch_limited {", "        default 1;"}
	for _, e := range p.in.exempt() {
		http = append(http, "        "+e.String()+" 0;")
	}
	http = append(http, "    }",
		"    map $stallwatch_limited $stallwatch_client {",
		"        1 $binary_remote_addr;",
		`        default "";`, // an empty key is not limited
		"    }",
		fmt.Sprintf("    limit_req_zone $stallwatch_client zone=stallwatch_requests:10m rate=%dr/s;", requestsIn10s/10),
		"    limit_conn_zone $stallwatch_client zone=stallwatch_connections:10m;")
	server := []string{
		fmt.Sprintf("    limit_req zone=stallwatch_requests burst=%d nodelay;", requestsIn10s),
		fmt.Sprintf("    limit_conn stallwatch_connections %d;", openConns),
		"    limit_req_status 429;",
		"    limit_conn_status 429;",
	}
	return nginxSection(id, "limit each client",
		fmt.Sprintf("Costs clients behind one address their share: %d requests a second with bursts of %d, %d calls at once. nginx limits all commands alike: it cannot see which one a body names, and it does not ban. A location with a limit_req of its own does not inherit these.", requestsIn10s/10, requestsIn10s, openConns),
		Part{NginxHTTP, marked(id, http...)}, Part{NginxServer, marked(id, server...)})
}

func nginxClients(p *plan) Section {
	const id = "nginx-clients"
	var lines []string
	for _, a := range p.culprits {
		lines = append(lines, "    deny "+detect.NetworkName(a)+";")
	}
	return nginxSection(id, "refuse these clients",
		"Costs everybody behind the same address the whole API, not only one command. A location with allow or deny of its own does not inherit these.",
		Part{NginxServer, marked(id, lines...)})
}

func nginxRoute(p *plan) Section {
	const id = "nginx-route"
	c, method := p.cmd, p.cmd.method
	if method == "" {
		method = "[A-Z]+"
	}
	variable := "$stallwatch_" + c.ident()
	return nginxSection(id, "refuse "+c.Name,
		"Costs every client this route.",
		Part{NginxHTTP, marked(id,
			`    map "$request_method $uri" `+variable+" {",
			"        default 0;",
			fmt.Sprintf(`        "~*^%s %s" 1;`, method, c.route()[1:]),
			"    }")},
		Part{NginxServer, marked(id, "    if ("+variable+") { return 403; }")})
}

func nginxHeaders() Section {
	const id = "nginx-headers"
	return nginxSection(id, "refuse calls without the API's header",
		"Costs clients that leave out X-IOTA-API-Version; IRI refuses them anyway, HORNET does not ask for it. nginx alone cannot check that a body names a command: see nginx-command.",
		Part{NginxHTTP, marked(id,
			`    map "$request_method:$http_x_iota_api_version" $stallwatch_no_version {`,
			"        default 0;",
			`        "~^(GET|HEAD|OPTIONS):" 0;`,
			`        "~:$" 1;`,
			"    }")},
		Part{NginxServer, marked(id, "    if ($stallwatch_no_version) { return 400; }")})
}

func nginxTimeouts() Section {
	const id = "nginx-timeouts"
	return nginxSection(id, "give up on requests that trickle, refuse large ones",
		"Costs clients on very slow lines and bodies over 1,000,000 bytes, the node's own limit. A directive that stands in the same block already must be changed there instead: nginx refuses it twice.",
		Part{NginxServer, marked(id,
			"    client_header_timeout 10s;",
			"    client_body_timeout 10s;",
			"    send_timeout 60s;",
			"    client_max_body_size 1000000;",
			"    proxy_request_buffering on;")})
}

// nginxScript needs the njs module, since nginx by itself decides before it
// reads a body: "if ($request_body ~ ...)" never matches. JSON.parse takes the
// last of two equal keys, as IRI's Gson does, and undoes escapes.
//
// Whatever has a body goes to the script first, on any path and with any
// method, since IRI does not care for either.
func nginxScript(p *plan) Section {
	const id = "nginx-command"
	c, also, what := p.cmd, "", p.cmd.Name
	if c.Name == "getTransactionsToApprove" && p.in.Reference != ReferenceNone {
		also, what = " && call.reference !== undefined", what+" with a reference"
	}
	name, family := c.prefix()
	same := " === '" + strings.ToLower(name) + "'"
	if family {
		same = ".startsWith('" + strings.ToLower(name) + "')"
	}
	script := []string{
		"function refused(call) {",
		"    return call && String(call." + c.key + ").toLowerCase()" + same + also + ";",
		"}",
		"function check(r) {",
		"    try {",
		"        if ([].concat(JSON.parse(r.requestText || '{}')).some(refused)) {",
		"            r.return(403, 'refused');",
		"            return;",
		"        }",
		"    } catch (e) {",
		"        r.return(400, 'not JSON');",
		"        return;",
		"    }",
		"    r.internalRedirect('@stallwatch_node');",
		"}",
		"export default { check };",
	}
	return Section{ID: id, Title: "nginx: refuse " + what + " (needs the njs module)",
		Parts: []Part{
			{NginxScript, strings.Join(script, "\n") + "\n"},
			{NginxHTTP, marked(id,
				"    js_import stallwatch from /etc/nginx/stallwatch.js;",
				`    map "$request_method:$content_length$http_transfer_encoding" $stallwatch_body {`,
				"        default 1;",
				`        "~^POST:" 1;`,
				`        "~:0?$" 0;`,
				"    }")},
			{NginxServer, marked(id,
				"    client_body_buffer_size 1m;",
				"    if ($stallwatch_body) { rewrite ^ /stallwatch-check last; }",
				"    location = /stallwatch-check {",
				"        internal;",
				"        js_content stallwatch.check;",
				"    }",
				"    location @stallwatch_node {",
				"        rewrite ^ / break;",
				fmt.Sprintf("        proxy_pass http://127.0.0.1:%d;", p.in.Port),
				"    }")},
		},
		Apply: nginxApply,
		Undo:  nginxUndo(id, "rm -f /etc/nginx/stallwatch.js && "),
		Cost: "Costs every client " + what + ", and each call a parse. nginx alone cannot look into bodies: this needs libnginx-mod-http-js (Debian) or nginx-module-njs (nginx.org) with its load_module line. " +
			"A call with a body goes past the locations of this server to the node's / on this machine: mend proxy_pass if the node is elsewhere, and repeat what your location sets (proxy_set_header, proxy_read_timeout). Bodies over client_body_buffer_size are answered 400.",
	}
}
