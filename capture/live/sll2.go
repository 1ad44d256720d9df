package live

/*
#cgo LDFLAGS: -lpcap
#include <pcap/pcap.h>
#ifndef DLT_LINUX_SLL2
#define DLT_LINUX_SLL2 276
#endif
static int stallwatch_use_sll2(void *p) {
	return pcap_set_datalink((pcap_t *)p, DLT_LINUX_SLL2);
}
*/
import "C"

import (
	"reflect"

	"github.com/google/gopacket/pcap"
)

// useSLL2 asks for cooked packets of version 2, which name the interface a
// packet was seen on; version 1 does not. gopacket keeps a link type in a
// byte, so that its own SetLinkType cannot say 276: hence this call on the
// handle it wraps. False leaves the handle as it was: an older libpcap
// (before 1.10) does not offer it, or gopacket has changed inside.
func useSLL2(h *pcap.Handle) bool {
	field := reflect.ValueOf(h).Elem().FieldByName("cptr")
	if field.Kind() != reflect.Pointer || field.IsNil() {
		return false
	}
	return C.stallwatch_use_sll2(field.UnsafePointer()) == 0
}
