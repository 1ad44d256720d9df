package notify

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// A token that is in every fake's URL or header, and must be nowhere else.
const token = "T0k3n-that-nobody-may-see"

// snag is what a fake does to a request instead of taking it.
type snag func(w http.ResponseWriter, r *http.Request)

func status(code int, body string, header ...string) snag {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// reset cuts the connection in the middle of the answer's head.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		io.WriteString(c, "HTTP/1.1 200 O")
		c.Close()
	}
}

// seen is a request that a fake took.
type seen struct {
	at     time.Time
	method string
	path   string
	query  string
	header http.Header
	body   []byte
}

// fake is a receiver on a real TLS socket. It enforces the limits of the one
// it stands for: whatever breaks one gets 400 and fails the test.
type fake struct {
	t     *testing.T
	kind  Kind
	srv   *httptest.Server
	check func(f *fake, s *seen) (answer string, err error)

	mu    sync.Mutex
	snags []snag // for the next requests, first to last
	snag  snag   // for all others; nil: none
	tried []seen
	took  []seen
	ids   int
	live  map[string]bool // ids of messages that can be edited
}

func newFake(t *testing.T, k Kind) *fake {
	f := &fake{t: t, kind: k, check: checks[k], live: map[string]bool{}}
	f.srv = httptest.NewUnstartedServer(f)
	f.srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.srv.StartTLS()
	t.Cleanup(func() {
		f.srv.CloseClientConnections()
		f.srv.Close()
	})
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // its sender was killed in the middle of it: no receiver takes that for a message
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s := seen{time.Now(), r.Method, r.URL.Path, r.URL.RawQuery, r.Header, body}
	f.mu.Lock()
	f.tried = append(f.tried, s)
	do := f.snag
	if len(f.snags) > 0 {
		do, f.snags = f.snags[0], f.snags[1:]
	}
	f.mu.Unlock()
	if do != nil {
		do(w, r)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer, err := f.check(f, &s)
	if agent := s.header.Get("User-Agent"); f.kind != Discord && !strings.HasPrefix(agent, "stallwatch/") {
		err = fmt.Errorf("user agent %q", agent)
	}
	if err != nil {
		f.t.Errorf("%s: limit broken: %v\nby %s %s\n%s", f.kind, err, s.method, s.path, s.body)
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, err)
		return
	}
	f.took = append(f.took, s)
	if f.kind == PagerDuty {
		w.WriteHeader(http.StatusAccepted)
	}
	io.WriteString(w, answer)
}

func (f *fake) set(all snag, next ...snag) {
	f.mu.Lock()
	f.snag, f.snags = all, next
	f.mu.Unlock()
}

func (f *fake) counts() (tried, took int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tried), len(f.took)
}

func (f *fake) requests() (tried, took []seen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]seen(nil), f.tried...), append([]seen(nil), f.took...)
}

func (f *fake) host() string { return strings.TrimPrefix(f.srv.URL, "https://") }

// receiver is the configuration that leads to f.
func (f *fake) receiver() Receiver {
	paths := map[Kind]string{Discord: "/api/webhooks/1234567/" + token, Slack: "/services/T0001/B0002/" + token,
		Alertmanager: "/" + token, Webhook: "/hook/" + token, Ntfy: "/" + token}
	r := Receiver{Name: string(f.kind), Kind: f.kind, Host: f.host(), CAFile: f.certificate(), PerMinute: 600, Resend: time.Hour}
	switch f.kind {
	case Telegram:
		r.Token, r.Chat = NewSecret(token), "-100123"
	case PagerDuty:
		r.Token = NewSecret(token)
	default:
		r.URLs = []Secret{NewSecret(f.srv.URL + paths[f.kind])}
	}
	if f.kind == Webhook {
		r.HMAC = NewSecret("hmac-" + token)
	}
	return r
}

func (f *fake) certificate() string {
	path := filepath.Join(f.t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.srv.Certificate().Raw})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// checks enforce the receivers' limits and give their answers.
var checks = map[Kind]func(*fake, *seen) (string, error){
	Discord: checkDiscord, Slack: checkSlack, Alertmanager: checkAlertmanager, Webhook: checkWebhook,
	Ntfy: checkNtfy, Telegram: checkTelegram, PagerDuty: checkPagerDuty,
}

// strict decodes JSON and refuses keys that the receiver does not know.
func strict(b []byte, v any) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func within(what, s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return fmt.Errorf("%s has %d characters, at most %d", what, n, limit)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkDiscord(f *fake, s *seen) (string, error) {
	const path = "/api/webhooks/1234567/" + token
	if !strings.HasPrefix(s.header.Get("User-Agent"), "DiscordBot (https://") {
		return "", fmt.Errorf("user agent %q", s.header.Get("User-Agent"))
	}
	id := "1000000000000000000"
	switch edit, isEdit := strings.CutPrefix(s.path, path+"/messages/"); {
	case s.method == "POST" && s.path == path && strings.Contains(s.query, "wait=true"):
		f.ids++
		id = fmt.Sprint(1000000000000000000 + f.ids)
		f.live[id] = true
	case s.method == "PATCH" && isEdit && f.live[edit]:
		id = edit
	default:
		return "", fmt.Errorf("%s %s?%s: no such place", s.method, s.path, s.query)
	}
	var m struct {
		Content  string
		Embeds   []discordEmbed
		Mentions *struct {
			Parse *[]string
			Roles []string
		} `json:"allowed_mentions"`
	}
	if err := strict(s.body, &m); err != nil {
		return "", err
	}
	if m.Mentions == nil || m.Mentions.Parse == nil || len(*m.Mentions.Parse) != 0 {
		return "", fmt.Errorf("allowed_mentions lets text call people")
	}
	if m.Content == "" && len(m.Embeds) == 0 {
		return "", fmt.Errorf("empty message")
	}
	return `{"id":"` + id + `"}`, firstError(within("content", m.Content, 2000), discordLimits(m.Embeds))
}

func discordLimits(embeds []discordEmbed) error {
	if len(embeds) > 10 {
		return fmt.Errorf("%d embeds", len(embeds))
	}
	sum := 0
	for _, e := range embeds {
		if len(e.Fields) > 25 {
			return fmt.Errorf("%d fields", len(e.Fields))
		}
		err := firstError(within("title", e.Title, 256), within("description", e.Description, 4096))
		sum += len(e.Title) + len(e.Description)
		for _, fl := range e.Fields {
			if strings.TrimSpace(fl.Name) == "" || strings.TrimSpace(fl.Value) == "" {
				return fmt.Errorf("empty field %q", fl.Name)
			}
			err = firstError(err, within("field name", fl.Name, 256), within("field value", fl.Value, 1024))
			sum += len(fl.Name) + len(fl.Value)
		}
		if e.Footer != nil {
			err = firstError(err, within("footer", e.Footer.Text, 2048))
			sum += len(e.Footer.Text)
		}
		if err != nil {
			return err
		}
	}
	if sum > 6000 {
		return fmt.Errorf("embeds have %d characters in all", sum)
	}
	return nil
}

func checkSlack(_ *fake, s *seen) (string, error) {
	var m slackMessage
	if err := strict(s.body, &m); err != nil {
		return "", err
	}
	if m.Text == "" || strings.ContainsAny(m.Text, "<>") {
		return "", fmt.Errorf("no_text, or markup in %q", m.Text)
	}
	for _, a := range m.Attachments {
		if len(a.Blocks) == 0 || len(a.Blocks) > 50 {
			return "", fmt.Errorf("%d blocks", len(a.Blocks))
		}
		for _, b := range a.Blocks {
			if err := slackLimits(&b); err != nil {
				return "", err
			}
		}
	}
	return "ok", within("text", m.Text, 40000)
}

func slackLimits(b *slackBlock) error {
	limit := map[string]int{"header": 150, "section": 3000, "context": 3000}[b.Type]
	if limit == 0 || len(b.Fields) > 10 || len(b.Elements) > 10 {
		return fmt.Errorf("block %s with %d fields, %d elements", b.Type, len(b.Fields), len(b.Elements))
	}
	for _, o := range append(append([]*slackObj{b.Text}, b.Fields...), b.Elements...) {
		switch {
		case o == nil:
			continue
		case o.Text == "" || b.Type == "header" && o.Type != "plain_text":
			return fmt.Errorf("%s: text %+v", b.Type, o)
		case o.Type == "plain_text" && strings.ContainsAny(o.Text, "<>"):
			return fmt.Errorf("markup in %q", o.Text)
		}
		if err := within(b.Type, o.Text, limit); err != nil {
			return err
		}
	}
	for _, o := range b.Fields {
		if err := within("field", o.Text, 2000); err != nil {
			return err
		}
	}
	return nil
}

func checkAlertmanager(_ *fake, s *seen) (string, error) {
	var list []postedAlert
	if err := strict(s.body, &list); err != nil {
		return "", err
	}
	for _, a := range list {
		start, err1 := time.Parse(time.RFC3339, a.StartsAt)
		end, err2 := time.Parse(time.RFC3339, a.EndsAt)
		if err1 != nil || err2 != nil || end.Before(start) {
			return "", fmt.Errorf("start time must be before end time: %s, %s", a.StartsAt, a.EndsAt)
		}
		if a.Labels["alertname"] == "" {
			return "", fmt.Errorf("no alertname")
		}
		for k, v := range a.Labels {
			if v == "" || !utf8.ValidString(v) {
				return "", fmt.Errorf("label %s: %q", k, v)
			}
		}
	}
	if s.path != "/"+token+"/api/v2/alerts" || len(list) == 0 {
		return "", fmt.Errorf("%d alerts to %s", len(list), s.path)
	}
	return "", nil
}

func checkWebhook(_ *fake, s *seen) (string, error) {
	var m webhookMessage
	if err := strict(s.body, &m); err != nil {
		return "", err
	}
	if m.Version != "4" || m.Status != "firing" && m.Status != "resolved" || len(m.Alerts) == 0 {
		return "", fmt.Errorf("version %q, status %q, %d alerts", m.Version, m.Status, len(m.Alerts))
	}
	if want := sign(NewSecret("hmac-"+token), s.body); s.header.Get("X-Stallwatch-Signature") != want {
		return "", fmt.Errorf("signature %q, want %q", s.header.Get("X-Stallwatch-Signature"), want)
	}
	if len(s.header.Get("Idempotency-Key")) < 16 {
		return "", fmt.Errorf("no idempotency key")
	}
	return "", nil
}

func checkNtfy(_ *fake, s *seen) (string, error) {
	var p ntfyPost
	if err := strict(s.body, &p); err != nil {
		return "", err
	}
	if p.Topic != token || s.path != "/" || p.Priority < 1 || p.Priority > 5 || p.Message == "" {
		return "", fmt.Errorf("path %s, topic %q, priority %d", s.path, p.Topic, p.Priority)
	}
	if len(p.Message) > 4096 || len(p.Title) > 1024 || len(strings.Join(p.Tags, ",")) > 512 {
		return "", fmt.Errorf("message of %d bytes, title %d", len(p.Message), len(p.Title))
	}
	return "{}", nil
}

func checkTelegram(f *fake, s *seen) (string, error) {
	var p telegramPost
	if err := strict(s.body, &p); err != nil {
		return "", err
	}
	switch s.path {
	case "/bot" + token + "/sendMessage":
		f.ids++
	case "/bot" + token + "/editMessageText":
		if p.Message < 1 || p.Message > int64(f.ids) {
			return "", fmt.Errorf("edit of message %d", p.Message)
		}
	default:
		return "", fmt.Errorf("path %s", s.path)
	}
	return fmt.Sprintf(`{"ok":true,"result":{"message_id":%d}}`, f.ids), firstError(within("text", p.Text, 4096))
}

func checkPagerDuty(_ *fake, s *seen) (string, error) {
	var e pagerEvent
	if err := strict(s.body, &e); err != nil {
		return "", err
	}
	if e.Key != token || e.Dedup == "" || len(e.Dedup) > 255 || s.path != "/v2/enqueue" || len(s.body) > 512<<10 {
		return "", fmt.Errorf("key, dedup_key %q, path %s, %d bytes", e.Dedup, s.path, len(s.body))
	}
	if e.Action == "resolve" {
		return "", nil
	}
	if e.Payload == nil || e.Payload.Source == "" || e.Action != "trigger" {
		return "", fmt.Errorf("payload %+v of %s", e.Payload, e.Action)
	}
	return "", firstError(within("summary", e.Payload.Summary, 1024))
}

// logs is a logger's output that tests read while it is written.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() zerolog.Logger { return zerolog.New(l) }
