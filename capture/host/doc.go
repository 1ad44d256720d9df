// Package host reads what the operating system knows about the node: its
// process, descriptors and sockets. It is what packets cannot tell: how many
// descriptors are open of how many, which connections the process has not
// accepted yet, and what was there before the capture began.
//
// # What goes in, what comes out
//
// The watched ports, and perhaps a process or a systemd unit, go in; a
// [capture.Sample] comes out of each [Prober.Sample]. A probe that fails is a
// sample too: Err says in one sentence what is missing and the cure, and what
// could be read all the same is there.
//
//	/proc/PID/fd, limits ──────────────────> descriptors and their limit
//	sock_diag netlink, or /proc/PID/net/tcp ─> sockets by state, accept queue
//	/proc/PID/net/netstat ─────────────────> accept queue overflows
//	/proc/PID/net/fib_trie, if_inet6 ───────> addresses
//
// Where several ports are watched, as both sides of a reverse proxy are, only
// the sockets of those count that the process listens on: the proxy's half
// closed ones are none of the node's.
//
// # Rights
//
// Finding the process by its listening socket reads the links under
// /proc/*/fd, which takes the node's own user or CAP_SYS_PTRACE (and
// CAP_DAC_READ_SEARCH); so does counting descriptors before Linux 6.2. With a
// pid or unit given, Linux 6.2 and later need no right at all.
//
// # Cost
//
// A prober measures the processor time it takes. The full socket table (2 ms
// at 4,000 sockets, 40 ms at 50,000), the reading of descriptors before Linux
// 6.2 and the search for the process are put off when they would take more
// than one percent of a core; the sample says so (Stale). Nearly all of that
// time is the kernel's.
//
// # What it never does
//
// It opens no connection, sends nothing to the watched port, and changes
// nothing in the process it looks at.
package host
