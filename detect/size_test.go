package detect

import (
	"testing"
	"unsafe"
)

// A hundred thousand calls that hang must not cost more than their share.
func TestEntriesStayCompact(t *testing.T) {
	if got := unsafe.Sizeof(call{}); got > 80 {
		t.Errorf("a call takes %d bytes, want at most 80", got)
	}
	if got := unsafe.Sizeof(conn{}); got > 104 {
		t.Errorf("a connection of interest takes %d bytes, want at most 104", got)
	}
	if got := unsafe.Sizeof(leg{}); got > 336 {
		t.Errorf("a leg of a call takes %d bytes, want at most 336: package pipeline counts on it", got)
	}
	t.Logf("call %d bytes, conn %d bytes, node %d bytes", unsafe.Sizeof(call{}), unsafe.Sizeof(conn{}), unsafe.Sizeof(node{}))
}
