package detect

import (
	"testing"
	"time"

	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// Answers of JSON-RPC nodes to a command that they do not offer, and to one
// that they do, as their sources print them.
func TestIsRPCError(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		want         bool
	}{
		{"geth", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method admin_addPeer does not exist/is not available"}}` + "\n", true},
		{"jsonrpsee", `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}`, true},
		{"besu", `{"jsonrpc":"2.0","id":1,"error":{"code":-32604,"message":"Method not enabled"}}`, true},
		{"spaces", `{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}}`, true},
		{"carried out", `{"jsonrpc":"2.0","id":1,"result":true}`, false},
		{"carried out, null", `{"jsonrpc":"2.0","id":1,"result":null}` + "\n", false},
		{"an id that looks like an error", `{"jsonrpc":"2.0","result":true,"id":"\"code\":-32601, does not exist/is not available"}`, false},
		{"a result that ends in objects", `{"jsonrpc":"2.0","id":1,"result":{"protocols":{"eth":{"network":1,"genesis":"0xd4e5"}}}}`, false},
		{"nothing", "", false},
	} {
		tail := []byte(row.answer)
		tail = tail[max(0, len(tail)-httpreassembly.TailBytes):]
		if got := isRPCError(tail); got != row.want {
			t.Errorf("%s: %v of %q, want %v", row.name, got, tail, row.want)
		}
	}
}

// What a JSON-RPC node refuses with status 200 was not carried out.
func TestAdminCommandRefusedWith200(t *testing.T) {
	for _, row := range []struct {
		answer string
		want   Severity
	}{
		{`es not exist/is not available"}}`, Info},
		{`{"jsonrpc":"2.0","id":1,"result":true}`, Critical},
	} {
		d := newDrive(t, Options{Rules: rules.Default()})
		id := d.call("192.0.2.1", `{"jsonrpc":"2.0","id":1,"method":"admin_addPeer","params":["enode://a@192.0.2.9:30303"]}`)
		d.open[id].Exchange.ResponseTail = []byte("admin_addPeer do" + row.answer)
		d.answer(id, 200)
		d.wait(3 * time.Second)
		var got Severity
		for _, f := range d.out {
			if f.Kind == AlertChanged && f.Alert.Name == "AdminCommand" {
				got = f.Alert.Severity
			}
		}
		if got != row.want {
			t.Errorf("answered by %q: AdminCommand is %q, want %q", row.answer, got, row.want)
		}
	}
}
