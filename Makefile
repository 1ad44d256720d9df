# make run    set up, build, and watch the API port of the node on this machine
# make test   every test, with the race detector
# make demo   the attack of January 2018, on loopback
# make bench  speed and memory next to tcpdump, tshark, … (QUICK=1: a tenth)
# make bench-live  what capture and dumpcap lose on a veth pair; root
# make pgo    measure anew what the compiler lays the program out by
# make fuzz   every fuzz target for FUZZTIME (60s)
#
# Nothing has to be installed beforehand but Go: what is missing (libpcap's
# headers, a C compiler) is installed with apt-get, and only then.

GO   ?= go
PORT ?= 14265
ARGS ?=
# Without sudo stallwatch itself says which right it lacks and how to give it.
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: run test demo build bench bench-live pgo fuzz check deps clean

run: build
	@$(SUDO) ./bin/stallwatch watch -p $(PORT) $(ARGS)

demo: build
	@$(SUDO) ./bin/stallwatch demo $(ARGS)

build: deps
	@mkdir -p bin
	@[ -x bin/stallwatch ] || echo "building bin/stallwatch: a minute or two the first time" >&2
	@$(GO) build -o bin/stallwatch ./cmd/stallwatch

test:
	@sh ./.ci/deps test
	$(GO) test -race -timeout 20m ./...

fuzz: deps
	@./.ci/fuzz

check: deps
	@test -z "$$(gofmt -l .)" || { echo "gofmt wants to change:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build
	@$(GO) build -o bin/bench ./cmd/internal/bench
	@./bin/bench $(if $(QUICK),-quick) $(ARGS)

bench-live: build
	@$(GO) build -o bin/bench ./cmd/internal/bench
	@$(SUDO) sh ./.ci/bench-live $(ARGS)

pgo: deps
	$(GO) test ./cmd/stallwatch -pgo off -run '^$$' -bench Replay -benchtime 10s -o /dev/null -cpuprofile cmd/stallwatch/default.pgo

deps:
	@sh ./.ci/deps

clean:
	rm -rf bin
