#!/bin/sh
# Makes the captures of testdata/captures again: make.sh [SCENARIO...], all by
# default. Needs root, Go, and the tools below (Debian: tcpdump iproute2 procps
# zstd nginx haproxy curl wrk slowhttptest). Each scenario runs in a network
# namespace of its own: nothing leaves this machine, and no other traffic gets
# into a capture.
set -eu
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "make.sh: run as root: network namespaces and tcpdump need it" >&2; exit 1; }
for tool in go ip unshare sysctl tcpdump zstd nginx haproxy curl wrk slowhttptest; do
	command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing (see the comment at the top)" >&2; exit 1; }
done

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
go build -o "$temp/makelab" ./cmd/internal/lab/makelab
[ $# -gt 0 ] || set -- $("$temp/makelab" -list | cut -f1)

for name; do
	echo "== $name" >&2
	mkdir "$temp/$name"
	unshare -n sh -c 'ip link set lo up && exec "$@"' sh "$temp/makelab" -out "$temp/$name" "$name"
	zstd -q -f -19 --rm "$temp/$name/$name.pcap"
	cp "$temp/$name/$name".* testdata/captures/
done
