package status

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"strings"
	"time"

	"stallwatch/cmd/internal/text"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// refreshEvery is how often a browser asks for the page again.
const refreshEvery = 5 * time.Second

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"span":   seconds,
	"number": text.Number,
	"digits": digits,
	"size":   size,
	"ports":  ports,
	"count":  func(n int) string { return text.Number(uint64(max(n, 0))) },
	"some":   func(n int) bool { return n > 0 },
	"runout": runout,
	"plain":  func(s string) string { return strings.ReplaceAll(s, "_", " ") },
	"plots": func(h *History) []Plot {
		if h == nil {
			return nil
		}
		return h.plots
	},
}).Parse(pageSource))

// view is what the template is given.
type view struct {
	*Document
	Style   template.CSS
	Refresh int // seconds; 0: not by itself
}

// Clock says an instant as the page does.
func (v *view) Clock(t Instant) string { return clock(t, v.Time) }

// Until says how long something lasts that began at t.
func (v *view) Until(t Instant) string { return span(time.Duration(v.Time - t)) }

// Title is what a tab shows: the state first, since tabs are narrow.
func (v *view) Title() string {
	t := v.State
	if v.Instance != "" {
		t += " · " + v.Instance
	}
	return t + " · stallwatch"
}

// policy lets the page have its own style and nothing else: no script, no
// image, no frame, nothing from anywhere.
var policy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// html renders d.
func (d *Document) html(refresh bool) []byte {
	v := &view{Document: d, Style: template.CSS(pageStyle)}
	if refresh {
		v.Refresh = int(refreshEvery / time.Second)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		panic("status: " + err.Error()) // the template is ours, and the buffer takes everything
	}
	return b.Bytes()
}

// json encodes d.
func (d *Document) json() []byte {
	b, err := json.Marshal(d)
	if err != nil {
		panic("status: " + err.Error()) // types of this package, without odd numbers
	}
	return append(b, '\n')
}
