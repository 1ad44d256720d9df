# make run    set up, build, and watch the API port of the node on this machine
# make test   every test, with the race detector
# make demo   the attack of January 2018, on loopback
# make bench  the benchmarks
# make fuzz   every fuzz target for FUZZTIME (60s)
#
# Nothing has to be installed beforehand but Go: what is missing (libpcap's
# headers, a C compiler) is installed with apt-get, and only then.

GO   ?= go
PORT ?= 14265
ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: run test demo build bench fuzz check deps clean

run: build
	@$(SUDO) ./bin/stallwatch watch -p $(PORT) $(ARGS)

demo: build
	@$(SUDO) ./bin/stallwatch demo $(ARGS)

build: deps
	@mkdir -p bin
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

bench: deps
	$(GO) test -run '^$$' -bench . -benchmem ./...

deps:
	@sh ./.ci/deps

clean:
	rm -rf bin
