package rules

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func TestClauses(t *testing.T) {
	v := Default().Classify(post(`{"command":"getTransactionsToApprove","depth":3,"reference":"ABC"}`))
	facts := Facts{Verdict: &v, Client: netip.MustParseAddrPort("192.0.2.7:5000"), Server: netip.MustParseAddrPort("198.51.100.1:14265"),
		Method: []byte("POST"), UserAgent: []byte("a\"b\x1b"), BodyBytes: 66, Age: 1500 * time.Millisecond}
	for _, tt := range []struct {
		on, when string
		want     []string
	}{
		{"request", `command == "getTips"`, []string{`false command == "getTips" [command is "getTransactionsToApprove"]`}},
		{"request", `command != "getTips" && (body_bytes > 100 or int("depth") == 3) and has("reference")`, []string{
			`true command != "getTips" [command is "getTransactionsToApprove"]`,
			`true body_bytes > 100 or int("depth") == 3 [body_bytes is 66 int("depth") is 3]`,
			`true has("reference") []`}},
		{"request", `client == "192.0.2.8" or from("192.0.2.0/24") or not has("addresses")`, []string{
			`false client == "192.0.2.8" [client is "192.0.2.7"]`, `true from("192.0.2.0/24") []`, `true not has("addresses") []`}},
		{"request", `user_agent contains "b" ? method == "POST" : false`, []string{
			`true user_agent contains "b" ? method == "POST" : false [user_agent is "a\"b\x1b" method is "POST"]`}},
		{"pending", `age_seconds > 2 and age_seconds < 10`, []string{`false age_seconds > 2 [age_seconds is 1.5]`, `true age_seconds < 10 [age_seconds is 1.5]`}},
		{"node", `fds > 0.5 * fd_limit and fd_eta_seconds < 600`, []string{`true fds > 0.5 * fd_limit [fds is 3 fd_limit is 4]`, `false fd_eta_seconds < 600 [fd_eta_seconds is infinite]`}},
	} {
		s := own(t, fmt.Sprintf("alerts:\n  - alert: One\n    on: %s\n    when: '%s'\n", tt.on, tt.when))
		m, f, a := s.NewMachine(), facts, s.Alerts()[0]
		f.Node.FDs, f.Node.FDLimit = 3, 4
		m.Begin(a.On, &f)
		var got []string
		for _, c := range m.Clauses(a) {
			got = append(got, fmt.Sprintf("%t %s %v", c.Holds, c.Text, c.Facts))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\ngot  %q\nwant %q", tt.when, got, tt.want)
		}
	}
}
