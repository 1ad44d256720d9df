package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"stallwatch/detect"
	"stallwatch/rules"
)

// file is the form of a configuration file. Durations are texts so that an
// error can say where they stand.
type file struct {
	Receivers []fileReceiver `yaml:"receivers"`
	GroupWait string         `yaml:"group_wait"`
	MaxAge    string         `yaml:"max_age"`
	Spool     string         `yaml:"spool"`
	Instance  string         `yaml:"instance"`
	Proxy     string         `yaml:"proxy"`
	Node      string         `yaml:"node"`
	Links     fileLinks      `yaml:"links"`
	Heartbeat fileHeartbeat  `yaml:"heartbeat"`
}

type fileLinks struct {
	Status  string `yaml:"status"`
	Runbook string `yaml:"runbook"`
}

type fileHeartbeat struct {
	URLFile string `yaml:"url_file"`
	URLEnv  string `yaml:"url_env"`
	Every   string `yaml:"every"`
}

type fileReceiver struct {
	Name         string   `yaml:"name"`
	Type         string   `yaml:"type"`
	MinSeverity  string   `yaml:"min_severity"`
	Alerts       []string `yaml:"alerts"`
	URL          string   `yaml:"url"`
	URLs         []string `yaml:"urls"`
	URLFile      string   `yaml:"url_file"`
	URLEnv       string   `yaml:"url_env"`
	TokenFile    string   `yaml:"token_file"`
	TokenEnv     string   `yaml:"token_env"`
	HMACFile     string   `yaml:"hmac_file"`
	HMACEnv      string   `yaml:"hmac_env"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	PasswordEnv  string   `yaml:"password_env"`
	ThreadID     string   `yaml:"thread_id"`
	Roles        []string `yaml:"roles"`
	Chat         string   `yaml:"chat"`
	Path         string   `yaml:"path"`
	NeverBan     []string `yaml:"never_ban"`
	BanLocal     bool     `yaml:"ban_local"`
	Host         string   `yaml:"host"`
	CAFile       string   `yaml:"ca_file"`
	PerMinute    int      `yaml:"per_minute"`
	Resend       string   `yaml:"resend"`
}

// Load reads the configuration file at path and the secrets it names. Errors
// say file, line and column, and what would be right; all of them come at
// once, up to a bound.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := decoder{file: path}
	var f file
	if d.decode(data, &f); len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	c := d.config(&f)
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	return c, nil
}

var (
	proxies    = []string{"haproxy", "nginx"}
	nodes      = []string{"iri", "hornet"}
	severities = []string{"info", "warning", "critical"}
	kinds      = []string{string(Discord), string(Slack), string(Alertmanager), string(Webhook), string(Ntfy), string(Telegram), string(PagerDuty), string(LogLine)}
)

func (d *decoder) config(f *file) *Config {
	c := &Config{
		GroupWait: d.duration("$.group_wait", f.GroupWait, DefaultGroupWait, 0, time.Hour),
		MaxAge:    d.duration("$.max_age", f.MaxAge, DefaultMaxAge, time.Minute, 30*24*time.Hour),
		Spool:     f.Spool,
		Instance:  d.plain("$.instance", f.Instance, 64),
		Proxy:     d.oneOf("$.proxy", f.Proxy, proxies),
		Node:      d.oneOf("$.node", f.Node, nodes),
		Links:     Links{d.link("$.links.status", f.Links.Status), d.link("$.links.runbook", f.Links.Runbook)},
	}
	if f.Heartbeat != (fileHeartbeat{}) {
		c.Heartbeat.Every = d.duration("$.heartbeat.every", f.Heartbeat.Every, DefaultHeartbeat, time.Second, 24*time.Hour)
		c.Heartbeat.URL = d.secret("$.heartbeat", "url", f.Heartbeat.URLFile, f.Heartbeat.URLEnv, required)
		d.checkURL("$.heartbeat", Webhook, "", c.Heartbeat.URL)
	}
	if len(f.Receivers) == 0 && c.Heartbeat.URL.empty() && len(d.errs) == 0 {
		d.fail("$", `start with "receivers:" and a list of {name, type, url_file}`, "no receivers")
	}
	if len(f.Receivers) > MaxReceivers {
		d.fail("$.receivers", "", "%d receivers: want at most %d", len(f.Receivers), MaxReceivers)
		return c
	}
	names := map[string]bool{}
	for i := range f.Receivers {
		at := fmt.Sprintf("$.receivers[%d]", i)
		r := d.receiver(at, &f.Receivers[i])
		if names[r.Name] {
			d.fail(at+".name", "each has its own queue and counters", "a second receiver %q", r.Name)
		}
		names[r.Name] = true
		c.Receivers = append(c.Receivers, r)
	}
	return c
}

// nameForm is what a receiver's name may be: it becomes a file name and a
// metric label.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func (d *decoder) receiver(at string, f *fileReceiver) Receiver {
	r := Receiver{Name: f.Name, Kind: Kind(d.oneOf(at+".type", f.Type, kinds)), User: f.User,
		ThreadID: f.ThreadID, Roles: f.Roles, Chat: f.Chat, Path: f.Path, BanLocal: f.BanLocal,
		Host: d.plain(at+".host", f.Host, 255), CAFile: f.CAFile, PerMinute: f.PerMinute, Alerts: f.Alerts}
	if !nameForm.MatchString(f.Name) {
		d.fail(at+".name", "lower case letters, digits, - and _, as in ops-discord", "no usable name %q", brief(f.Name))
	}
	if f.Type == "" {
		d.fail(at, "known: "+strings.Join(kinds, ", "), "a receiver without a type")
		return r
	}
	if f.MinSeverity != "" {
		r.MinSeverity = detect.Severity(1 + slices.Index(severities, d.oneOf(at+".min_severity", f.MinSeverity, severities)))
	}
	if f.PerMinute < 0 || f.PerMinute > 600 {
		d.fail(at+".per_minute", "", "%d messages a minute: want 1 to 600", f.PerMinute)
	}
	r.Resend = d.duration(at+".resend", f.Resend, DefaultResend, 5*time.Second, time.Hour)
	d.alertNames(at, f.Alerts)
	d.onlyFor(at, f, r.Kind)
	d.secrets(at, f, &r)
	d.details(at, f, &r)
	return r
}

var alertForm = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{2,63}$`)

// alertNames lets names pass that rule files may have added, but none that
// looks like a slip: it would silence the alert that was meant.
func (d *decoder) alertNames(at string, names []string) {
	known := AlertNames()
	for i, n := range names {
		if slices.Contains(known, n) {
			continue
		}
		where := fmt.Sprintf("%s.alerts[%d]", at, i)
		if near := rules.Nearest(n, known, 3); near != "" {
			d.fail(where, "did you mean "+near+"?", "unknown alert %q", brief(n))
		} else if !alertForm.MatchString(n) {
			d.fail(where, "names are like CallStalled", "no alert name: %q", brief(n))
		}
	}
}

// keysOf names the keys that only some kinds have.
var keysOf = map[string][]Kind{
	"url": {Alertmanager}, "urls": {Alertmanager},
	"url_file":   {Discord, Slack, Alertmanager, Webhook, Ntfy},
	"url_env":    {Discord, Slack, Alertmanager, Webhook, Ntfy},
	"token_file": {Alertmanager, Webhook, Ntfy, Telegram, PagerDuty},
	"token_env":  {Alertmanager, Webhook, Ntfy, Telegram, PagerDuty},
	"hmac_file":  {Webhook}, "hmac_env": {Webhook},
	"user": {Alertmanager, Webhook, Ntfy}, "password_file": {Alertmanager, Webhook, Ntfy}, "password_env": {Alertmanager, Webhook, Ntfy},
	"thread_id": {Discord}, "roles": {Discord}, "chat": {Telegram}, "resend": {Alertmanager},
	"path": {LogLine}, "never_ban": {LogLine}, "ban_local": {LogLine},
}

func (d *decoder) onlyFor(at string, f *fileReceiver, k Kind) {
	given := map[string]bool{"url": f.URL != "", "urls": f.URLs != nil, "url_file": f.URLFile != "", "url_env": f.URLEnv != "",
		"token_file": f.TokenFile != "", "token_env": f.TokenEnv != "", "hmac_file": f.HMACFile != "", "hmac_env": f.HMACEnv != "",
		"user": f.User != "", "password_file": f.PasswordFile != "", "password_env": f.PasswordEnv != "",
		"thread_id": f.ThreadID != "", "roles": f.Roles != nil, "chat": f.Chat != "", "resend": f.Resend != "",
		"path": f.Path != "", "never_ban": f.NeverBan != nil, "ban_local": f.BanLocal}
	for _, key := range sortedKeys(keysOf) {
		if !given[key] || slices.Contains(keysOf[key], k) {
			continue
		}
		switch {
		case key == "url" || key == "urls":
			d.fail(at+"."+key, "put it into a file of mode 0600 and name that with url_file, or use url_env", "the URL of a %s receiver is a secret", k)
		default:
			d.fail(at+"."+key, "", "a %s receiver has no %s", k, key)
		}
	}
}

func (d *decoder) secrets(at string, f *fileReceiver, r *Receiver) {
	for _, u := range append(slices.Clone(f.URLs), f.URL) {
		if u != "" {
			r.URLs = append(r.URLs, NewSecret(u))
		}
	}
	needURL := required
	if len(r.URLs) > 0 || slices.Contains([]Kind{Telegram, PagerDuty, LogLine}, r.Kind) {
		needURL = optional
	}
	if u := d.secret(at, "url", f.URLFile, f.URLEnv, needURL); !u.empty() {
		r.URLs = append(r.URLs, u)
	}
	needToken := optional
	if r.Kind == Telegram || r.Kind == PagerDuty {
		needToken = required
	}
	r.Token = d.secret(at, "token", f.TokenFile, f.TokenEnv, needToken)
	r.HMAC = d.secret(at, "hmac", f.HMACFile, f.HMACEnv, optional)
	r.Password = d.secret(at, "password", f.PasswordFile, f.PasswordEnv, optional)
	for _, u := range r.URLs {
		d.checkURL(at, r.Kind, r.Host, u)
	}
	if f.URL != "" || f.URLs != nil {
		d.noCredentials(at, append(slices.Clone(f.URLs), f.URL))
	}
}

var snowflake = regexp.MustCompile(`^[0-9]{5,20}$`)

func (d *decoder) details(at string, f *fileReceiver, r *Receiver) {
	if f.ThreadID != "" && !snowflake.MatchString(f.ThreadID) {
		d.fail(at+".thread_id", `a number in quotes, as in "1102030405060708090"`, "no thread id: %q", brief(f.ThreadID))
	}
	for i, id := range f.Roles {
		if !snowflake.MatchString(id) {
			d.fail(fmt.Sprintf("%s.roles[%d]", at, i), "the role's number in quotes: copy it with Discord's developer mode", "no role id: %q", brief(id))
		}
	}
	if r.Kind == Telegram && f.Chat == "" {
		d.fail(at, `add chat: "-100123456" or "@channel"`, "a telegram receiver without a chat")
	}
	if r.Kind == LogLine && f.Path == "" {
		d.fail(at, "add path: /var/log/stallwatch/abuse.log", "a log receiver without a path")
	}
	for i, s := range f.NeverBan {
		p, err := prefix(s)
		if err != nil {
			d.fail(fmt.Sprintf("%s.never_ban[%d]", at, i), "as in 10.0.0.5 or 10.0.0.0/8", "no address or network: %q", brief(s))
		}
		r.NeverBan = append(r.NeverBan, p)
	}
	if f.CAFile != "" {
		if _, err := certificates(f.CAFile); err != nil {
			d.fail(at+".ca_file", "", "%s", clean(err.Error(), maxWords))
		}
	}
}

func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
