package rules

// batchAPI returns the API whose calls may come in arrays, nil if there is
// none.
func (s *Set) batchAPI() *api {
	for _, a := range s.apis {
		if a.by == byJSONRPC {
			return a
		}
	}
	return nil
}

// batch reads a JSON-RPC batch (JSON-RPC 2.0 section 6): an array of calls.
// Every element counts, what is no call as Other.
func (s *Set) batch(sc *scanner, v *Verdict, doc *document, a *api) {
	var few [8]Count // most batches have one or two methods
	counts := few[:0]
	v.Calls = 0
	var val value
	for {
		entered, ok := sc.element(&val)
		if !ok {
			break
		}
		c := a.other
		if entered {
			c = s.call(sc, doc, a, v.Calls < maxCalls)
		}
		v.Calls++
		counts = count(counts, c)
	}
	s.endBatch(v, doc, a, counts)
}

// endBatch says what the calls of a batch come to.
func (s *Set) endBatch(v *Verdict, doc *document, a *api, counts []Count) {
	if v.Calls == 0 {
		v.Calls = 1
		return
	}
	doc.batch = a
	for i := range counts {
		v.Command = dearer(v.Command, counts[i].Command)
	}
	v.Why = whyBatch
	if v.Calls > 1 {
		v.Batch = append([]Count(nil), counts...)
	} else if doc.known {
		v.Why = a.whyKey
	}
}

// call reads one call of a batch to its end and returns its command.
func (s *Set) call(sc *scanner, doc *document, a *api, look bool) *Command {
	var keys [maxKeys]found
	s.object(sc, &keys, nil)
	return s.nameCall(&keys, doc, a, look)
}

// nameCall names the command of a call by its keys.
func (s *Set) nameCall(keys *[maxKeys]found, doc *document, a *api, look bool) *Command {
	f := &keys[a.keyID]
	if !look || f.n == 0 {
		return a.other
	}
	if c := s.findRPC(&f.val); c != nil {
		doc.known = true
		return c
	}
	if doc.unknown.kind == KindNone {
		doc.unknown = f.val
	}
	return a.other
}

// findRPC looks the method up in every JSON-RPC API.
func (s *Set) findRPC(v *value) *Command {
	for _, a := range s.apis {
		if a.by != byJSONRPC {
			continue
		}
		if c := a.find(v); c != nil {
			return c
		}
	}
	return nil
}

// count adds one to c's count. The list is as short as the methods are few;
// maxCalls and the closed set bound it.
func count(list []Count, c *Command) []Count {
	for i := range list {
		if list[i].Command == c {
			list[i].N++
			return list
		}
	}
	return append(list, Count{Command: c, N: 1})
}

// dearer returns the command with the larger budget, the first if they are
// alike. A budget of 0 is endless.
func dearer(a, b *Command) *Command {
	switch {
	case a == nil:
		return b
	case a.Critical == 0:
		return a
	case b.Critical == 0 || b.Critical > a.Critical:
		return b
	case b.Critical == a.Critical && b.Warn > a.Warn:
		return b
	}
	return a
}
