package evidence

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"

	"stallwatch/cmd/internal/advise"
)

// safeNumbers are the parameters whose value says nothing of a person and much
// of the cost: the ones that the rules may keep.
var safeNumbers = map[string]bool{"depth": true, "minWeightMagnitude": true, "threshold": true, "numWalks": true,
	"milestoneIndex": true, "targetIndex": true, "maxresults": true, "limit": true, "offset": true, "index": true, "pageSize": true, "id": true}

// safeKey is the form of an honest parameter's name. Anything else may itself
// be a value.
var safeKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,31}$`)

// Bounds of what is redacted.
const (
	maxRedacted = 256 << 10
	maxDepth    = 32
)

// redacted returns body, JSON, with every value replaced by one of the same
// type and length: what makes a call expensive is its shape. The name of the
// command stays, and so do harmless numbers and the reference of January
// 2018, which is public and without which nothing stalls. nil if body is not
// JSON, or too much of it.
func redacted(body []byte, command string) []byte {
	r := redactor{dec: json.NewDecoder(bytes.NewReader(body)), command: command}
	r.dec.UseNumber()
	if !r.value("", 0) {
		return nil
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil
	}
	return r.out
}

// redactor walks tokens and not a tree, so that equal keys stay in place:
// which one counts is up to the node's parser.
type redactor struct {
	dec     *json.Decoder
	out     []byte
	command string
}

func (r *redactor) value(key string, depth int) bool {
	if depth > maxDepth || len(r.out) > maxRedacted {
		return false
	}
	tok, err := r.dec.Token()
	if err != nil {
		return false
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			return r.object(depth)
		}
		return v == '[' && r.array(key, depth)
	case string:
		r.text(key, v)
	case json.Number:
		r.number(key, v)
	case bool:
		r.out = append(r.out, "false"...)
	case nil:
		r.out = append(r.out, "null"...)
	}
	return true
}

func (r *redactor) object(depth int) bool {
	r.out = append(r.out, '{')
	for first := true; r.dec.More(); first = false {
		if !first {
			r.out = append(r.out, ',')
		}
		tok, err := r.dec.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return false
		}
		if !safeKey.MatchString(key) {
			key = "key"
		}
		r.out = append(append(append(r.out, '"'), key...), '"', ':')
		if !r.value(key, depth+1) {
			return false
		}
	}
	r.out = append(r.out, '}')
	_, err := r.dec.Token()
	return err == nil
}

func (r *redactor) array(key string, depth int) bool {
	r.out = append(r.out, '[')
	for first := true; r.dec.More(); first = false {
		if !first {
			r.out = append(r.out, ',')
		}
		if !r.value(key, depth+1) {
			return false
		}
	}
	r.out = append(r.out, ']')
	_, err := r.dec.Token()
	return err == nil
}

// text writes 9s, a digit of every alphabet that nodes use.
func (r *redactor) text(key, v string) {
	r.out = append(r.out, '"')
	switch {
	case key == "command" || key == "method":
		if strings.EqualFold(v, r.command) && safeKey.MatchString(strings.ReplaceAll(v, ".", "_")) {
			r.out = append(r.out, v...)
			break
		}
		r.nines(len(v))
	case key == "jsonrpc" && v == "2.0", key == "reference" && v == advise.Known2018:
		r.out = append(r.out, v...)
	default:
		r.nines(len(v))
	}
	r.out = append(r.out, '"')
}

func (r *redactor) nines(n int) {
	for range min(n, maxRedacted) {
		r.out = append(r.out, '9')
	}
}

func (r *redactor) number(key string, v json.Number) {
	if n, err := v.Int64(); err == nil && safeNumbers[key] && n > -1e9 && n < 1e9 {
		r.out = append(r.out, v...)
		return
	}
	r.out = append(r.out, '0')
}
