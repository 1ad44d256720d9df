package rules

import "bytes"

// Why a request is what it is, besides "key …" of an API.
const (
	whyOptions   = "method OPTIONS"
	whyRoute     = "method and path"
	whyBatch     = "batch"
	whyUnknown   = "unknown name"
	whyNoRoute   = "unknown path"
	whyNoKey     = "no key that names a command"
	whyMalformed = "malformed JSON"
	whyCut       = "content cut before the key"
	whyEncoding  = "content encoding not readable"
)

// Classify names the command of a request: by the keys of its JSON body, else
// by method and path. It never fails; what it cannot name is Other. The body
// goes first since IRI reads a command under any path, and a path can be
// chosen by the client to look harmless.
func (s *Set) Classify(r *Request) (v Verdict) {
	s.Judge(&v, r)
	return v
}

// Judge is Classify into v, whatever was there: a Verdict is large.
func (s *Set) Judge(v *Verdict, r *Request) {
	*v = Verdict{Calls: 1, Shape: Shape{params: &s.params}}
	v.Cut = r.BodyBytes > int64(len(r.Body))
	if c := s.fallback.options; c != nil && string(r.Method) == "OPTIONS" {
		v.Command, v.Why = c, whyOptions
		return
	}
	if Packed(r.ContentEncoding, r.Body) {
		s.classifyEncoded(v, r)
	} else {
		s.classify(v, r, r.Body)
	}
}

// document is what the body's JSON said about commands.
type document struct {
	scanned bool // there is a JSON object or array
	found   [maxKeys]found
	batch   *api // valid iff not nil: the API whose calls the array holds
	known   bool // the batch has a call that is known
	unknown value
}

// found is the last value of a key, and how often the key stood there.
type found struct {
	val value
	n   int
}

func (s *Set) classify(v *Verdict, r *Request, body []byte) {
	var doc document
	if len(body) > 0 {
		s.read(v, &doc, body)
	}
	s.name(v, r, &doc)
}

// name names the command by what the body said, else by method and path.
func (s *Set) name(v *Verdict, r *Request, doc *document) {
	if s.nameByKey(v, doc) {
		return
	}
	var buf [maxPath]byte
	p := split(r.Target, buf[:], slashesStay)
	s.query(v, p.query)
	if s.nameByRoute(v, r.Method, &p) {
		return
	}
	if p.hidden {
		p = split(r.Target, buf[:], slashesCut)
		if s.nameByRoute(v, r.Method, &p) {
			return
		}
	}
	s.nameOther(v, r, doc, &p)
}

// nameByKey looks for a command that is known.
func (s *Set) nameByKey(v *Verdict, doc *document) bool {
	if doc.batch != nil {
		return doc.known
	}
	for _, a := range s.apis {
		if a.by == byRoute || doc.found[a.keyID].n == 0 {
			continue
		}
		f := &doc.found[a.keyID]
		if c := a.find(&f.val); c != nil {
			v.Command, v.Why, v.DuplicateKey = c, a.whyKey, f.n > 1
			return true
		}
	}
	return false
}

func (s *Set) nameByRoute(v *Verdict, method []byte, p *path) bool {
	if !p.ok {
		return false
	}
	for _, a := range s.apis {
		if c := a.routes.find(method, p.segments[:p.n]); c != nil {
			v.Command, v.Why = c, whyRoute
			return true
		}
	}
	return false
}

// nameOther says as much as can be said about what no pack knows.
func (s *Set) nameOther(v *Verdict, r *Request, doc *document, p *path) {
	if doc.batch != nil {
		if v.Command == nil {
			v.Command, v.Why = doc.batch.other, whyUnknown
		}
		v.Raw = rawName(&doc.unknown)
		return
	}
	if a := s.claims(doc); a != nil {
		f := &doc.found[a.keyID]
		v.Command, v.Why, v.DuplicateKey = a.other, whyUnknown, f.n > 1
		v.Raw = rawName(&f.val)
		return
	}
	v.Command = s.fallback.other
	v.Stream = isGRPC(r.ContentType)
	if v.Why == "" {
		v.Why = s.whyOther(v, doc)
	}
	v.Raw = rawRoute(r.Method, p)
}

// claims returns the API whose key the body has, though with a value that it
// does not know. Where there is a choice, a `method` alone makes no JSON-RPC:
// other bodies have that word too.
func (s *Set) claims(doc *document) *api {
	for _, a := range s.apis {
		if a.by == byRoute || doc.found[a.keyID].n == 0 {
			continue
		}
		if len(s.apis) > 1 && a.by == byJSONRPC && doc.found[s.versionKey].n == 0 {
			continue
		}
		return a
	}
	return nil
}

func (s *Set) whyOther(v *Verdict, doc *document) string {
	switch {
	case !doc.scanned || s.fallback.by == byRoute && len(s.apis) == 1:
		return whyNoRoute
	case v.Malformed:
		return whyMalformed
	case v.Cut:
		return whyCut
	}
	return whyNoKey
}

// read scans the body, if it is JSON, into doc and v.
func (s *Set) read(v *Verdict, doc *document, body []byte) {
	sc := scanner{b: body}
	switch sc.open() {
	case '{':
		sc.enter()
		doc.scanned = true
		s.object(&sc, &doc.found, &v.Shape)
	case '[':
		a := s.batchAPI()
		if a == nil {
			return
		}
		sc.enter()
		doc.scanned = true
		s.batch(&sc, v, doc, a)
	default:
		return
	}
	v.Malformed = sc.bad || sc.cut && !v.Cut
	v.Lenient = sc.lenient
	v.Trailing = !sc.bad && !sc.cut && (sc.peek() != 0 || sc.i < len(sc.b))
}

// object reads the members of an object: the keys that name commands into
// found, the rest into shape, if there is one.
func (s *Set) object(sc *scanner, keys *[maxKeys]found, shape *Shape) {
	var key, val value
	for sc.member(&key, &val) {
		s.member(keys, shape, &key, &val)
	}
}

// member notes one member of an object. It returns the index in keys if the
// member names a command, else -1.
func (s *Set) member(keys *[maxKeys]found, shape *Shape, key, val *value) int {
	var buf [maxName]byte
	name, whole := key.decode(buf[:0])
	id, known := uint8(0), false
	if whole {
		id, known = s.byName.get(name)
	}
	switch {
	case known && id > maxParams:
		f := &keys[255-id]
		f.val = *val
		f.n++
		return int(255 - id)
	case shape == nil:
	case known:
		shape.add(id, val)
	default:
		shape.others = saturate(shape.others)
	}
	return -1
}

// query reads the parameters of a route into the shape.
func (s *Set) query(v *Verdict, query []byte) {
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		if len(pair) == 0 {
			continue
		}
		name, text, _ := bytes.Cut(pair, []byte("="))
		val := value{kind: KindString, text: text, n: len(text)}
		if isNumber(text) {
			val.kind = KindNumber
		}
		if id, ok := s.byName.get(name); ok && id < maxParams {
			v.Shape.add(id, &val)
		} else {
			v.Shape.others = saturate(v.Shape.others)
		}
	}
}

// rawName is the name that nobody knows, for the eye.
func rawName(v *value) string {
	if v.kind != KindString {
		return ""
	}
	var buf [4 * MaxRaw]byte
	text, _ := v.decode(buf[:0])
	if len(text) >= MaxRaw && isTrytes(text) {
		// A seed in the wrong place looks like any other hash, and owns money.
		return "{trytes}"
	}
	return Escape(text, MaxRaw)
}

func isTrytes(b []byte) bool {
	for _, c := range b {
		if c != '9' && c-'A' >= 26 {
			return false
		}
	}
	return true
}

func rawRoute(method []byte, p *path) string {
	if len(method) == 0 {
		return ""
	}
	var buf [maxPath + MaxRaw]byte
	dst := append(buf[:0], method[:min(len(method), MaxRaw/2)]...)
	return Escape(p.normal(append(dst, ' ')), MaxRaw)
}

// isGRPC reports whether a content type is application/grpc, or one of its
// encodings as application/grpc+proto.
func isGRPC(contentType []byte) bool {
	const name = "application/grpc"
	if len(contentType) < len(name) || !foldEqual(contentType[:len(name)], name) {
		return false
	}
	rest := contentType[len(name):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == '-'
}
