// Package peers holds what stallwatch says to other programs against those
// programs: Prometheus scrapes its metrics, Alertmanager takes its alerts and
// fail2ban reads its log. It has tests only.
//
// What goes in is a recording of the attack of January 2018, so what each
// program must say is known beforehand. The programs are started by the tests,
// on loopback and in a temporary directory. One that is not installed skips
// its test, or fails it where CI is set; ".ci/deps test" installs all.
//
// HAProxy, nginx and nftables have their tests in package advise.
package peers
