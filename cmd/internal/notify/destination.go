package notify

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// userAgent names the program (RFC 9110 section 10.1.5). To Discord it takes
// the form that Discord asks for: its edge may block others.
func userAgent(kind Kind, version string) string {
	if version = clean(version, 32); version == "" {
		version = "dev"
	}
	if kind == Discord {
		return "DiscordBot (https://pkg.go.dev/stallwatch, " + version + ") stallwatch"
	}
	return "stallwatch/" + version
}

// newDestination makes the receiver of r.
func newDestination(c *Config, r *Receiver, o Options) (destination, error) {
	if r.Kind == LogLine {
		return &logLine{path: r.Path, pid: os.Getpid(), never: r.NeverBan, local: r.BanLocal}, nil
	}
	client, err := newClient(r, orDuration(o.Timeout, callTimeout))
	if err != nil {
		return nil, err
	}
	urls, err := targets(r)
	if err != nil {
		return nil, err
	}
	t := transport{client, newRedactor(r.URLs, r.Token, r.HMAC, r.Password)}
	s, agent := newSpeaker(c), userAgent(r.Kind, o.Version)
	switch r.Kind {
	case Discord:
		u := *urls[0]
		u.RawQuery = ""
		return &discord{transport: t, url: &u, thread: r.ThreadID, roles: r.Roles, speaker: s, agent: agent}, nil
	case Slack:
		return &slack{transport: t, url: urls[0], speaker: s, agent: agent}, nil
	case Alertmanager:
		for _, u := range urls {
			u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v2/alerts"
		}
		return &alertmanager{transport: t, urls: urls, resend: orDuration(r.Resend, DefaultResend), header: headers(r, agent), speaker: s, now: time.Now}, nil
	case Webhook:
		return &webhook{transport: t, url: urls[0], key: r.HMAC, header: headers(r, agent), name: r.Name, speaker: s}, nil
	case Ntfy:
		root, topic := splitTopic(urls[0])
		if topic == "" {
			return nil, fmt.Errorf("the URL has no topic: want https://host/topic")
		}
		return &ntfy{transport: t, root: root, topic: topic, header: headers(r, agent), speaker: s}, nil
	case Telegram:
		return &telegram{transport: t, base: urls[0], chat: r.Chat, speaker: s, agent: agent}, nil
	case PagerDuty:
		return &pagerDuty{transport: t, url: urls[0], key: r.Token, speaker: s, agent: agent}, nil
	}
	return nil, fmt.Errorf("unknown type %q", clean(string(r.Kind), 32))
}

// targets are the checked URLs of a receiver; those of services with a fixed
// place are made here.
func targets(r *Receiver) ([]*url.URL, error) {
	secrets := r.URLs
	host := r.Host
	switch r.Kind {
	case Telegram:
		if host == "" {
			host = services[Telegram][0]
		}
		secrets = []Secret{NewSecret("https://" + host + "/bot" + r.Token.reveal())}
	case PagerDuty:
		if host == "" {
			host = services[PagerDuty][0]
		}
		secrets = []Secret{NewSecret("https://" + host + "/v2/enqueue")}
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("no URL")
	}
	var list []*url.URL
	for _, s := range secrets {
		u, err := parseTarget(r.Kind, r.Host, s)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// headers of receivers that may want credentials.
func headers(r *Receiver, agent string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "User-Agent": {agent}}
	switch {
	case !r.Token.empty():
		h.Set("Authorization", "Bearer "+r.Token.reveal())
	case r.User != "":
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(r.User+":"+r.Password.reveal())))
	}
	return h
}
