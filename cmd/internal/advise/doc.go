// Package advise turns an alert into what an operator can do about it: lines
// for HAProxy, nginx, nftables and the node's own configuration, each with
// the line that takes it back and a sentence on what it costs. It proposes;
// it never applies anything, and does no I/O.
//
// # What goes in
//
// An [Input]: the alert's name, the command and the clients it names, the
// port, and what stands in front of the node. [FromAlert] makes one from an
// alert, [FromRecords] from a file of records.
//
// # What comes out
//
// [Section]s in the order of their worth for this alert. A section's parts
// say where their text goes; every line of a configuration ends in a comment
// that names its section, so that the undo line can find it again.
//
// # What it never does
//
// It never proposes to ban a proxy: loopback, the node's own address, trusted
// networks, and, as long as nobody said what stands in front, private
// addresses are left out, and the reason is told. Behind a proxy the peer of
// the node's port is the proxy, so nothing is banned there at all unless the
// proxy's networks are known.
//
// It never lets text of the wire into its output. Addresses are typed,
// commands must be in the rules' closed set and made of harmless characters,
// all else is a constant of this package. What comes out can be pasted into a
// shell or a configuration as it is.
package advise
