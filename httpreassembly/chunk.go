package httpreassembly

// maxChunkLine bounds the line of a chunk's size and extensions, in bytes.
// Nobody uses extensions; servers have been killed with endless ones
// (CVE-2023-39326).
const maxChunkLine = 4096

func (s *stream) startChunk() { s.state, s.left, s.count, s.line = inChunkSize, 0, 0, lineEmpty }

// chunked reads the chunked coding (RFC 9112 7.1). What is read strictly here
// is what proxies and servers read differently.
func (m *messages) chunked(f *feed, s *stream, b []byte) int {
	switch s.state {
	case inChunkSize:
		return m.chunkSize(f, s, b)
	case inChunkExt:
		return m.chunkExt(f, s, b)
	case inChunkData:
		n := int(min(int64(len(b)), s.left))
		s.left -= int64(n)
		m.content(f, b[:n], 0)
		if s.left == 0 {
			s.state, s.count = inChunkEnd, 0
		}
		return n
	case inChunkEnd:
		return m.chunkEnd(f, s, b[0])
	}
	return m.trailers(f, s, b)
}

// chunkSize reads hexadecimal digits: no sign, no 0x, no space, below 2^60.
func (m *messages) chunkSize(f *feed, s *stream, b []byte) int {
	for i, c := range b {
		d := hex(c)
		if d < 0 {
			if s.count == 0 || c != ';' && c != '\r' && c != '\n' && c != ' ' && c != '\t' {
				m.framing(f.dir, i)
				m.badChunk(f, "size")
				return 0
			}
			m.framing(f.dir, i)
			s.state, s.line = inChunkExt, lineEmpty
			return i
		}
		if s.count++; s.left >= 1<<56 || s.count > maxChunkLine {
			m.framing(f.dir, i)
			m.badChunk(f, "size too large")
			return 0
		}
		s.left = s.left<<4 | int64(d)
	}
	m.framing(f.dir, len(b))
	return len(b)
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// chunkExt passes over the rest of a chunk's line. A bare CR in it is where
// readers differ about its end (RFC 9112 2.2).
func (m *messages) chunkExt(f *feed, s *stream, b []byte) int {
	for i, c := range b {
		switch {
		case c == '\n':
			m.framing(f.dir, i+1)
			if s.line != lineCR {
				m.oddity(f, BareLF, "in a chunk's line")
			}
			s.chunkLineDone()
			return i + 1
		case s.line == lineCR:
			m.framing(f.dir, i)
			m.badChunk(f, "bare CR")
			return 0
		case c == '\r':
			s.line = lineCR
			continue
		case s.line == lineEmpty && (c == ' ' || c == '\t'): // RFC 9112 7.1.1: BWS
			if s.count++; s.count > maxChunkLine {
				m.framing(f.dir, i)
				m.badChunk(f, "line too long")
				return 0
			}
			continue
		case s.line == lineEmpty && c != ';':
			m.framing(f.dir, i)
			m.badChunk(f, "size")
			return 0
		case s.line == lineEmpty:
			m.oddity(f, ChunkExtension, "")
		}
		s.line = lineText
		if s.count++; s.count > maxChunkLine {
			m.framing(f.dir, i)
			m.badChunk(f, "line too long")
			return 0
		}
	}
	m.framing(f.dir, len(b))
	return len(b)
}

func (s *stream) chunkLineDone() {
	s.count, s.line = 0, lineEmpty
	if s.state = inChunkData; s.left == 0 {
		s.state = inTrailers
	}
}

// chunkEnd reads the CRLF behind a chunk's data. count is the CR.
func (m *messages) chunkEnd(f *feed, s *stream, c byte) int {
	switch {
	case c == '\r' && s.count == 0:
		s.count = 1
	case c == '\n':
		if s.count == 0 {
			m.oddity(f, BareLF, "behind a chunk")
		}
		s.startChunk()
	default:
		m.badChunk(f, "data longer than its size")
		return 0
	}
	m.framing(f.dir, 1)
	return 1
}

// trailers passes over the fields behind the last chunk.
func (m *messages) trailers(f *feed, s *stream, b []byte) int {
	n := s.headEnd(b)
	ended := n >= 0
	if !ended {
		n = len(b)
	}
	if over := f.sh.opts.MaxHead - int(s.count); n > over {
		m.framing(f.dir, over)
		m.failBody(f, HeadTooLarge, "trailers")
		return 0
	}
	s.count += int32(n)
	m.framing(f.dir, n)
	if !ended {
		return n
	}
	switch {
	case s.count > 2:
		m.oddity(f, Trailers, "")
	case s.count == 1:
		m.oddity(f, BareLF, "behind the last chunk")
	}
	m.messageDone(f, s)
	return n
}

func (m *messages) badChunk(f *feed, detail string) { m.failBody(f, BadChunk, detail) }

// failBody is reached when the end of a message cannot be found any more.
func (m *messages) failBody(f *feed, o Oddity, detail string) {
	m.failHead(f, &m.side[f.dir], o, detail)
}
