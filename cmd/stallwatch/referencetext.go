package main

// The parts of the reference that no table holds. The examples are rule files
// and tests that a test loads and runs.

const referenceBegin = "A rule file says how an API names its commands, how long each may take, when the detectors fire, and what alerts of your own\n" +
	"there are. It is laid over the packs that are built in and says only what it changes: of a class, API or command that is known\n" +
	"already the keys that it has, a new one is added; a free rule of a known name replaces that rule whole. `--rules FILE` may be given\n" +
	"many times; later files are laid over earlier ones.\n\n" +
	"For example `own.yaml`:\n\n"

const exampleRules = `classes:
  fast: {warn: 1s}                     # critical stays as it is

apis:
  - name: iri                          # built in: this changes two commands of it
    commands:
      - {name: getTransactionsToApprove, warn: 5s, critical: 20s}
      - {name: getNeighbors, admin: false}
  - name: shop                         # one of your own, by method and path
    named_by: route
    parameters:
      number: [page]                   # the value may be kept: an expression may ask int("page")
      length: [items]                  # its kind and length only: len("items"), has("items")
    commands:
      - {name: GET /shop/health, class: instant, canary: true}
      - {name: "GET /shop/items/{id}", class: fast}
      - {name: POST /shop/orders, class: work, lock: shop.db}
      - {name: ANY /shop/admin/*, class: work, admin: true}
  - name: jobs                         # and one whose bodies are like {"op":"resize","files":["a"]}
    named_by: json-key
    key: op
    parameters:
      length: [files]
    commands:
      - {name: resize, class: heavy, slow: true, longest_list: 100}

detectors:
  CallStalled: {min_calls: 5}
  PortScan: {enabled: false}

alerts:
  - alert: BigOrders
    when: command == "POST /shop/orders" and len("items") > 5
    by: client
    more_than: 3 per 1m
    severity: info
    summary: "{{client}} sent {{count}} big orders in {{within}}"
  - alert: JobErrors
    on: exchange
    when: 'api == "jobs" and status >= 500'
  - alert: OldReferences
    on: pending
    when: |
      command == "getTransactionsToApprove" and has("reference")
      and age_seconds > 2 and not from("192.0.2.0/24")
    more_than: 2
    for: 5s
    severity: critical
  - alert: HalfOfTheDescriptors
    on: node
    when: fd_limit > 0 and fds > 0.5 * fd_limit      # what is not known is -1
    for: 10s
`

const referenceUse = "| to | say |\n|---|---|\n" +
	"| check it | `stallwatch rules check own.yaml` |\n" +
	"| use it | `stallwatch watch --rules own.yaml`, the same for `replay` |\n" +
	"| see the effective whole | `stallwatch rules show own.yaml`: itself a rule file that means the same |\n" +
	"| ask why a request matches or not | `stallwatch rules explain --rules own.yaml request.http`, or a capture in its place |\n" +
	"| see when it would have warned | `stallwatch backtest --rules own.yaml incident.pcap` |\n" +
	"| try values of a threshold | `stallwatch backtest --sweep CallStalled.min_calls=1,3,5 *.pcap` |\n" +
	"| test it | `stallwatch rules test own_test.yaml`, see below |\n" +
	"| put a new version in force | `kill -HUP` the process, or `systemctl reload` |\n\n" +
	"Files are read strictly: an unknown key, class, unit, name or type is an error with its line and column, and nothing of any file is\n" +
	"loaded; the exit status is 2. On SIGHUP a file that is wrong leaves the old rules in force, and the log says so. What is learnt and what\n" +
	"fires goes on: calls in flight keep the budgets that they began with, and free rules that did not change keep their counts.\n\n" +
	"## Tests\n\n" +
	"A test plays a capture or a written trace and says what fires at an instant: these alerts, and no others. An alert that fires at any\n" +
	"time and that no line names fails the test too. `own_test.yaml`:\n\n"

const exampleTests = `rules: [own.yaml]                      # beside this file; also api: and ports: [14265]
tests:
  - name: four big orders of one client in a minute
    trace:
      - {at: 1s, every: 1s, times: 9, method: POST, target: /shop/orders, body: '{"items":[1]}', answer: 20ms}
      - {at: 6s, every: 2s, times: 4, client: 192.0.2.9, command: POST /shop/orders, body: '{"items":[1,2,3,4,5,6]}', answer: 20ms}
    expect:
      - {at: 11s, firing: []}
      - {at: 13s, firing: [{alert: BigOrders, severity: info, client: 192.0.2.9}]}
      - {at: 5m, firing: []}
  - name: descriptors
    trace:
      - {at: 1s, every: 1s, times: 30, sample: {fds: 3000, fd_limit: 4096}}
    expect:
      - {at: 5s, firing: []}
      - {at: 20s, firing: [{alert: HalfOfTheDescriptors, severity: warning}]}
`

const referenceTests = "\n" +
	"A line of `expect` may ask for `alert`, `severity`, `subject`, `client`, `command`, `server` and `summary`; what it leaves out may be\n" +
	"anything. With `capture: incident.pcap` in place of `trace`, times count from the first packet. A step of a trace has:\n\n" +
	"| key | meaning |\n|---|---|\n" +
	"| `at`, `every`, `times`, `clients` | when, how often, and by how many clients of adjacent addresses in turn |\n" +
	"| `client`, `server` | 192.0.2.1 and 198.51.100.1:14265, if not given |\n" +
	"| `command` | a request is made up for it; or `method` (POST) and `target` (/); `body` with either |\n" +
	"| `user_agent` | the header field |\n" +
	"| `answer`, `status`, `bytes` | answered after so long (not given: never), with that status (200) and so much content |\n" +
	"| `leave`, `reset`, `close` | after so long the client ends the connection, breaks it off, or the server ends it |\n" +
	"| `refused`, `unanswered` | in place of a call: a SYN that is refused, or not answered |\n" +
	"| `lost` | so many packets are lost to the capture |\n" +
	"| `sample` | what the host says: `fds`, `fd_limit`, `close_wait`, `unaccepted`, `queue`, `queue_max` |\n"

const referenceRoutes = "\n### How a request gets its command\n\n" +
	"1. OPTIONS is a command of its own, whatever the path.\n" +
	"2. A key of the JSON body that names a command that is known (json-key, json-rpc), under any path: some nodes do not look at paths.\n" +
	"   If the key stands twice the last one counts. Of a JSON-RPC batch every call counts, and the one with the largest budget\n" +
	"   is the command of the whole; ids do not matter, nor whether there are any.\n" +
	"3. Method and path, without the query. A word goes before `{id}`, and both before `*`, which stands at the end for any number of\n" +
	"   segments. HEAD counts as GET. Case matters; empty segments and a slash at the end do not. Escapes are undone (`%6f`); an\n" +
	"   escaped slash (`%2F`) stays within its segment, and parts segments where nothing matches otherwise.\n" +
	"4. `other`. What it called itself is shown escaped and cut, and is never a metric label.\n\n" +
	"With `--api NAME` only that API is asked; without, each in the order in which they were defined.\n"
