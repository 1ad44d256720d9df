// Package lab makes the captures of testdata/captures: real sockets on
// loopback or between network namespaces, tcpdump beside them, and what the
// kernel and the clients knew at the same time.
//
// Each [Scenario] leaves three files: NAME.pcap (compressed by make.sh),
// NAME.truth.jsonl with the kernel's own counts five times a second (see
// [Truth]), and NAME.events.json with what happened and when (see [Events]).
// The truth never goes into a replay: it is what a replay is judged by.
//
// To add a scenario, add a line to [Scenarios].
//
// It runs as root on a machine with tcpdump and the servers and load
// generators that a scenario names; make.sh gives each scenario a network
// namespace of its own, so nothing but its own traffic is captured and nothing
// leaves it. No part of stallwatch depends on it, and its tests need neither
// rights nor tools.
package lab
