package rules

// take hands a member, or an element that is no object, to the document.
func (c *Scan) take() {
	val := c.val.value()
	c.val.open = false
	if c.array && !c.object {
		c.count(c.set.batchAPI().other)
		return
	}
	keys, shape := &c.doc.found, &c.v.Shape
	if c.array {
		keys, shape = &c.keys, nil
	}
	key := c.key.value()
	if k := c.set.member(keys, shape, &key, &val); k >= 0 {
		f := &keys[k].val
		f.text = append(c.store[k][:0], f.text...)
	}
}

// endCall counts the call of a batch that was read to its end.
func (c *Scan) endCall() {
	a := c.set.batchAPI()
	before := c.doc.unknown.kind
	cmd := c.set.nameCall(&c.keys, &c.doc, a, c.v.Calls < maxCalls)
	if before == KindNone && c.doc.unknown.kind != KindNone {
		c.doc.unknown.text = append(c.store[maxKeys][:0], c.doc.unknown.text...)
	}
	c.count(cmd)
}

func (c *Scan) count(cmd *Command) {
	c.v.Calls++
	c.counts = count(c.counts, cmd)
}

// end is reached with the last byte there is: what is open is cut.
func (c *Scan) end() {
	if c.comment == slashSeen {
		c.plainSlash()
	}
	c.comment = noComment
	if c.place == inWord && c.inner {
		c.cut = true // and so is the word, whose length nobody knows
		c.wordDone()
	}
	if c.place == inString && c.inner {
		c.place = inComposite
	}
	switch c.place {
	case inBOM, atTop, inGuard, atEnd, notJSON:
		return
	case inComposite:
		if c.filled = c.filled || c.depth == 1; c.filled {
			c.n++
		}
		c.val.n, c.val.span = c.n, c.span
		c.endValue()
	case inString, inWord:
		if c.place == inWord {
			c.token().kind = c.word.kind()
			c.lenient = c.lenient || c.token().kind == KindString || c.word.n == 0
		}
		c.token().drain(true)
		if c.val.open {
			c.endValue()
		}
	}
	c.cut = true
	c.close()
	c.place = notJSON
}

func (c *Scan) endValue() {
	c.val.cut = true
	c.take()
}

// Classify names the command of a request whose content c has read; the Body
// of r is not looked at. c cannot be used afterwards.
func (c *Scan) Classify(r *Request) Verdict {
	s, v := c.set, &c.v
	v.Cut = r.BodyBytes > c.fed
	if cmd := s.fallback.options; cmd != nil && string(r.Method) == "OPTIONS" {
		return Verdict{Calls: 1, Shape: Shape{params: &s.params}, Cut: v.Cut, Command: cmd, Why: whyOptions}
	}
	c.end()
	if c.array {
		s.endBatch(v, &c.doc, s.batchAPI(), c.counts)
	}
	if c.doc.scanned {
		v.Malformed = c.bad || c.cut && !v.Cut
		v.Lenient = c.lenient
		v.Trailing = c.trailing
	}
	s.name(v, r, &c.doc)
	return *v
}
