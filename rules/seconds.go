package rules

import (
	"bytes"
	"strconv"
)

var durationKey = []byte(`"duration"`)

// ServerSeconds reads from the last bytes of an answer how long the node says
// it worked: IRI and HORNET 0.x end each answer with `"duration": N}`, in
// milliseconds (iri, service/dto/AbstractResponse.java). It takes that place
// only: the same words within a string of the answer are somebody's text.
func ServerSeconds(tail []byte) (float64, bool) {
	i := bytes.LastIndex(tail, durationKey)
	if i < 0 || i > 0 && tail[i-1] == '\\' {
		return 0, false
	}
	sc := scanner{b: tail, i: i + len(durationKey)}
	if !sc.colon() {
		return 0, false
	}
	var v value
	sc.value(&v)
	if v.kind != KindNumber || sc.peek() != '}' || sc.lenient {
		return 0, false
	}
	sc.i++
	if sc.peek() != 0 || sc.i < len(tail) || len(v.text) > maxNumber {
		return 0, false
	}
	ms, err := strconv.ParseFloat(string(v.text), 64)
	return ms / 1000, err == nil && ms >= 0
}
