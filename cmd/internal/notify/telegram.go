package notify

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// telegramText is the longest message in characters.
const telegramText = 4096

// telegram uses a bot's sendMessage, and editMessageText while an incident
// lasts. It sends no parse_mode: text is text, and nothing in it formats or
// links but what the program itself recognises, which card defangs.
type telegram struct {
	transport
	base    *url.URL // https://api.telegram.org/botTOKEN
	chat    string
	speaker speaker
	agent   string
}

type telegramPost struct {
	Chat    string `json:"chat_id"`
	Message int64  `json:"message_id,omitempty"`
	Text    string `json:"text"`
	Preview struct {
		Off bool `json:"is_disabled"`
	} `json:"link_preview_options"`
	Silent bool `json:"disable_notification,omitempty"`
}

func (t *telegram) calls(b *batch) []call {
	n := t.speaker.note(b)
	body := n.plain(telegramText - 300)
	if b.Plain {
		body = cut(n.Title, 512)
	}
	id, err := strconv.ParseInt(b.Message, 10, 64)
	if b.Message == "" || err != nil {
		return []call{t.call("post", "/sendMessage", telegramPost{Text: body})}
	}
	list := []call{t.call("edit", "/editMessageText", telegramPost{Text: body, Message: id})}
	if b.Worse {
		list = append(list, t.call("escalation", "/sendMessage", telegramPost{Text: cut(n.Title, 512)}))
	}
	return list
}

func (t *telegram) call(what, method string, p telegramPost) call {
	u := *t.base
	u.Path += method
	p.Chat, p.Preview.Off = t.chat, true
	return call{what: what, method: http.MethodPost, url: &u, body: encodeJSON(p),
		header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {t.agent}}}
}

func (t *telegram) deliver(ctx context.Context, b *batch) outcome {
	id := b.Message
	for _, c := range t.calls(b) {
		a, out := t.do(ctx, &c)
		if out.verdict == refused && c.what == "edit" {
			// Deleted, too old, or the same as it is: Telegram says 400 to all.
			return outcome{verdict: retry, forget: true, words: out.words}
		}
		if out.verdict != delivered {
			return out
		}
		var m struct {
			Result struct {
				ID int64 `json:"message_id"`
			} `json:"result"`
		}
		if c.what == "post" && decodeJSON(a.body, &m) && m.Result.ID > 0 {
			id = strconv.FormatInt(m.Result.ID, 10)
		}
	}
	return outcome{verdict: delivered, message: id}
}
