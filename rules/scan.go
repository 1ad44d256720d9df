package rules

// Scan reads the JSON of one request's content as it comes, in pieces of any
// size, with memory that does not grow: a command may stand behind a list of a
// million bytes, and whoever wants to be missed puts it there. It says what
// Classify says of the whole content at once; a test holds the two together.
//
// What a piece holds is not kept, but for the names and values that are asked
// for, each up to its bound.
type Scan struct {
	set *Set
	fed int64 // bytes

	// Where the scan stands.
	place   scanPlace
	comment scanComment
	bom     uint8 // bytes of the byte order mark, or of Gson's guard, that were matched
	guarded bool  // the guard was read
	object  bool  // the innermost thing entered is an object
	array   bool  // the top level is an array
	due     bool  // a separator is due

	// The value being read.
	key    scanned
	val    scanned
	inner  bool // a text within an array or object that is stepped over
	quote  byte
	slash  bool // the byte before was a backslash
	word   literal
	kinds  uint64 // as in composite
	depth  int
	filled bool
	n      int
	span   span
	inLen  int // bytes of the text that is stepped over

	// What was found.
	doc      document
	v        Verdict
	keys     [maxKeys]found // of the call that was entered
	counts   []Count
	lenient  bool
	bad      bool
	cut      bool
	trailing bool
	store    [maxKeys + 1][maxText]byte // the texts of doc.found or keys, and of doc.unknown
}

// maxText bounds what is kept of a value's text: what rawName and fingerprint
// look at.
const maxText = maxPrinted

// scanPlace is where in the grammar the next byte stands.
type scanPlace uint8

const (
	inBOM scanPlace = iota
	atTop
	inGuard
	atMember // or element, or the end
	inKey
	atColon
	behindEqual
	atValue
	inString
	inWord
	inComposite
	atEnd
	notJSON // or over: nothing is read any more
)

// scanComment is how much of a comment was read.
type scanComment uint8

const (
	noComment scanComment = iota
	slashSeen
	lineComment
	blockComment
	blockStar
)

// NewScan returns a Scan for a request of the Set.
func (s *Set) NewScan() *Scan {
	return &Scan{set: s, v: Verdict{Calls: 1, Shape: Shape{params: &s.params}}}
}

// Write takes the next bytes of the content. They are not kept.
func (c *Scan) Write(p []byte) {
	c.fed += int64(len(p))
	for i := 0; i < len(p) && c.place != notJSON; {
		switch {
		case c.place == inString:
			i += c.text(p[i:])
		case c.comment != noComment:
			i += c.commentByte(p[i])
		default:
			i += c.byte(p[i])
		}
	}
}

// byte takes b, and returns 0 if b has to be looked at again.
func (c *Scan) byte(b byte) int {
	switch c.place {
	case inBOM:
		return c.bomByte(b)
	case inGuard:
		return c.guardByte(b)
	case inWord:
		return c.wordByte(b)
	case behindEqual:
		c.place = atValue
		if b == '>' {
			return 1
		}
		return 0
	}
	switch {
	case byteClass[b]&isSpace != 0:
		return 1
	case b == '/':
		c.comment = slashSeen
		return 1
	case b == '#':
		c.remark(lineComment)
		return 1
	}
	return c.dispatch(b)
}

// remark begins a comment. Behind the end it is no matter of the value.
func (c *Scan) remark(k scanComment) {
	c.comment = k
	c.lenient = c.lenient || c.place != atEnd
}

// commentByte reads on in a comment, or in what may begin one.
func (c *Scan) commentByte(b byte) int {
	switch {
	case c.comment == slashSeen && b == '/':
		c.remark(lineComment)
	case c.comment == slashSeen && b == '*':
		c.remark(blockComment)
	case c.comment == slashSeen:
		c.plainSlash()
		return 0
	case c.comment == lineComment:
		if b == '\n' {
			c.comment = noComment
		}
	case b == '*':
		c.comment = blockStar
	case c.comment == blockStar && b == '/':
		c.comment = noComment
	default:
		c.comment = blockComment
	}
	return 1
}

// plainSlash handles a slash that begins no comment.
func (c *Scan) plainSlash() {
	c.comment = noComment
	if c.place != notJSON && c.dispatch('/') == 0 {
		c.wordByte('/') // a value of no bytes
		c.dispatch('/')
	}
}

// dispatch handles b, which is no space and in no comment, by the grammar.
func (c *Scan) dispatch(b byte) int {
	switch c.place {
	case atTop:
		return c.top(b)
	case atMember:
		return c.member(b)
	case atColon:
		return c.colon(b)
	case atValue:
		return c.begin(&c.val, b)
	case inComposite:
		return c.nested(b)
	default: // atEnd
		c.trailing = true
		c.place = notJSON
	}
	return 1
}

// bomByte passes over a byte order mark. A broken one begins no JSON.
func (c *Scan) bomByte(b byte) int {
	switch {
	case b == bom[c.bom]:
		if c.bom++; int(c.bom) == len(bom) {
			c.place = atTop
		}
		return 1
	case c.bom > 0:
		c.place = notJSON
		return 1
	}
	c.place = atTop
	return 0
}

func (c *Scan) guardByte(b byte) int {
	if b != gsonGuard[c.bom] {
		c.place = notJSON
		return 1
	}
	if c.bom++; int(c.bom) == len(gsonGuard) {
		c.place, c.guarded, c.lenient = atTop, true, true
	}
	return 1
}

func (c *Scan) top(b byte) int {
	switch {
	case b == ')' && !c.guarded:
		c.place, c.bom = inGuard, 1
		return 1
	case b == '{':
		c.object = true
	case b == '[' && c.set.batchAPI() != nil:
		c.array = true
		c.v.Calls = 0
	default:
		c.place = notJSON
		return 1
	}
	c.doc.scanned = true
	c.place, c.due = atMember, false
	return 1
}

// member is more, and the start of member and element.
func (c *Scan) member(b byte) int {
	switch {
	case b == ',' || b == ';':
		c.lenient = c.lenient || b == ';' || !c.due
		c.due = false
		return 1
	case c.object && b == '}', !c.object && b == ']':
		c.leave()
		return 1
	case c.due || byteClass[b]&endsWord != 0 && (c.object || b != '{' && b != '['):
		c.fail()
		return 1
	case c.object:
		return c.begin(&c.key, b)
	case b == '{':
		c.object, c.due = true, false
		c.keys = [maxKeys]found{}
		return 1
	}
	return c.begin(&c.val, b)
}

// leave ends what was entered last.
func (c *Scan) leave() {
	if c.array && c.object {
		c.object, c.due = false, true
		c.endCall()
		return
	}
	c.place = atEnd
}

func (c *Scan) colon(b byte) int {
	switch b {
	case ':':
		c.place = atValue
	case '=':
		c.lenient = true
		c.place = behindEqual
	default:
		c.fail()
	}
	return 1
}

// fail ends the scan: nobody reads on here.
func (c *Scan) fail() {
	c.bad = true
	c.close()
	c.place = notJSON
}

// close ends a call that is not whole.
func (c *Scan) close() {
	if c.array && c.object {
		c.object = false
		c.endCall()
	}
}

// begin starts the key or value t with b.
func (c *Scan) begin(t *scanned, b byte) int {
	t.reset(t == &c.key)
	c.inner = false
	switch b {
	case '"', '\'':
		c.lenient = c.lenient || b == '\''
		c.quote, c.slash, c.place = b, false, inString
		t.kind = KindString
		return 1
	case '{', '[':
		t.kind = KindArray
		if b == '{' {
			t.kind = KindObject
		}
		c.kinds, c.depth, c.filled, c.n, c.span = 0, 0, false, 0, span{}
		c.place = inComposite
		return 0
	}
	c.word = literal{}
	c.place = inWord
	return 0
}

// token returns what a text belongs to.
func (c *Scan) token() *scanned {
	if c.val.open {
		return &c.val
	}
	return &c.key
}

// text reads on in a string, and returns how much of p it took.
func (c *Scan) text(p []byte) int {
	t := c.token()
	for i, b := range p {
		switch {
		case c.slash:
			c.slash = false
		case b == '\\':
			c.slash = true
		case b == c.quote:
			c.inLen += i
			c.textDone()
			return i + 1
		}
		if !c.inner {
			t.raw(b)
		}
	}
	c.inLen += len(p)
	return len(p)
}

func (c *Scan) textDone() {
	if c.inner {
		c.element(c.inLen)
		c.place = inComposite
		return
	}
	c.token().drain(true)
	c.valueDone()
}

func (c *Scan) wordByte(b byte) int {
	if byteClass[b]&endsWord != 0 {
		c.wordDone()
		return 0
	}
	c.word.add(b)
	if !c.inner {
		c.token().put1(b)
	}
	return 1
}

// wordDone judges a literal as scanner.word does.
func (c *Scan) wordDone() {
	k := c.word.kind()
	c.lenient = c.lenient || k == KindString || c.word.n == 0
	if c.inner {
		n := c.word.n
		if k != KindString {
			n = 0
		}
		c.element(n)
		c.place = inComposite
		return
	}
	c.token().kind = k
	c.valueDone()
}

// valueDone goes on behind a key or value.
func (c *Scan) valueDone() {
	if c.key.open && !c.val.open {
		c.key.open = false
		c.place = atColon
		return
	}
	c.take()
	c.due = true
	c.place = atMember
}

// nested steps over an array or object as scanner.composite does.
func (c *Scan) nested(b byte) int {
	c.filled = c.filled || c.depth == 1 && b != ']' && b != '}'
	switch b {
	case '{', '[':
		if c.depth++; c.depth <= maxChecked {
			c.kinds = c.kinds<<1 | isObject(b)
		}
		if c.depth == 2 {
			c.span.add(0)
		}
	case '}', ']':
		if c.depth <= maxChecked {
			if c.kinds&1 != isObject(b) {
				c.fail()
				return 1
			}
			c.kinds >>= 1
		}
		if c.depth--; c.depth == 0 {
			c.compositeDone()
		}
	case ',', ';':
		if c.depth == 1 {
			c.n++
		}
	case ':', '=', '/', '\\', '\f':
	case '"', '\'':
		c.quote, c.slash, c.inner, c.place, c.inLen = b, false, true, inString, 0
	default:
		c.word, c.inner, c.place = literal{}, true, inWord
		return 0
	}
	return 1
}

func (c *Scan) compositeDone() {
	if c.filled {
		c.n++
	}
	c.val.n, c.val.span = c.n, c.span
	c.valueDone()
}

// element notes the length of an element of the array that is stepped over,
// and of a member of an object, for which nobody asks.
func (c *Scan) element(n int) {
	if c.depth == 1 && !c.cut {
		c.span.add(n)
	}
}
