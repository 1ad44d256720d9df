package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// The node is flawed, the machine it runs on must not suffer: a head and a
// body are bounded although IRI's are not. IRI reads the whole body before it
// compares with MAX_BODY_LENGTH; so does this node, up to maxBody.
const (
	maxHead = 64 << 10
	maxBody = 16 << 20
)

var errTooLarge = errors.New("larger than the demo node reads")

// request is the head of an HTTP/1.x request.
type request struct {
	method, target string
	minor          int               // HTTP/1.minor
	header         map[string]string // names in lower case; of a repeated one the last
}

// keepAlive reports whether the connection lives on after the answer
// (RFC 9112 section 9.3).
func (r *request) keepAlive() bool {
	switch strings.ToLower(r.header["connection"]) {
	case "close":
		return false
	case "keep-alive":
		return true
	}
	return r.minor >= 1
}

// readRequest reads one head. It waits for ever: IRI has no request time-out.
func readRequest(br *bufio.Reader) (*request, error) {
	total := 0
	line, err := readLine(br, &total)
	if err != nil {
		return nil, err
	}
	r := &request{header: map[string]string{}}
	var version string
	if r.method, version, _ = strings.Cut(line, " "); version == "" {
		return nil, fmt.Errorf("malformed request line %q", line)
	}
	r.target, version, _ = strings.Cut(version, " ")
	if _, err := fmt.Sscanf(version, "HTTP/1.%d", &r.minor); err != nil {
		return nil, fmt.Errorf("malformed version %q", version)
	}
	for {
		line, err := readLine(br, &total)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return r, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("malformed header %q", line)
		}
		r.header[strings.ToLower(name)] = strings.TrimSpace(value)
	}
}

// readLine reads to LF and cuts the line's end; total counts the head's bytes.
func readLine(br *bufio.Reader, total *int) (string, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if *total += len(part); *total > maxHead {
			return "", errTooLarge
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}

// readBody reads what RFC 9112 section 6.3 says belongs to the request.
func readBody(br *bufio.Reader, r *request) ([]byte, error) {
	if strings.EqualFold(r.header["transfer-encoding"], "chunked") {
		return readChunked(br)
	}
	length := r.header["content-length"]
	if length == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(length, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("malformed Content-Length %q", length)
	}
	if n > maxBody {
		return nil, errTooLarge
	}
	// Grown by what arrives, not by what is promised: a client must not make
	// the node allocate 16 MiB with a header.
	body, err := io.ReadAll(io.LimitReader(br, int64(n)))
	if err == nil && len(body) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return body, err
}

// readChunked reads chunks and the trailer after them.
func readChunked(br *bufio.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(httputil.NewChunkedReader(br), maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	for total := 0; ; {
		line, err := readLine(br, &total)
		if err != nil || line == "" {
			return body, err
		}
	}
}

// appendResponse writes an answer with the headers that Undertow and IRI give.
func appendResponse(dst []byte, r *request, rep reply, date string) []byte {
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\n", rep.status, http.StatusText(rep.status))
	connection := "close"
	if r.keepAlive() {
		connection = "keep-alive"
		dst = append(dst, "Keep-Alive: timeout=500, max=100\r\n"...)
	}
	dst = append(dst, "Access-Control-Allow-Origin: *\r\n"...)
	if r.method == http.MethodOptions {
		dst = append(dst, "Allow: GET,HEAD,POST,PUT,DELETE,TRACE,OPTIONS,CONNECT,PATCH\r\n"+
			"Access-Control-Allow-Headers: Origin, X-Requested-With, Content-Type, Accept, X-IOTA-API-Version\r\n"...)
	} else {
		dst = append(dst, "Content-Type: application/json\r\n"...)
	}
	dst = fmt.Appendf(dst, "Connection: %s\r\nContent-Length: %d\r\nDate: %s\r\n\r\n", connection, len(rep.body), date)
	if r.method == http.MethodHead {
		return dst
	}
	return append(dst, rep.body...)
}
