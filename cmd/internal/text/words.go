package text

import (
	"stallwatch/capture"
	"stallwatch/detect"
	"stallwatch/httpreassembly"
	"stallwatch/rules"
)

// The closed words of every output. They stand in records that others store
// and in metric labels that others graph: a word never changes its meaning.

var outcomes = [...]string{
	httpreassembly.Answered:     "answered",
	httpreassembly.ClientGone:   "client_gone",
	httpreassembly.ServerClosed: "server_closed",
	httpreassembly.ServerReset:  "server_reset",
	httpreassembly.Cut:          "cut",
	httpreassembly.Lost:         "lost",
	httpreassembly.Unread:       "unread",
}

// Outcome names how an exchange ended; "" if it has not.
func Outcome(o httpreassembly.Outcome) string { return at(outcomes[:], int(o)) }

var sides = [...]string{httpreassembly.Client: "client", httpreassembly.Server: "server"}

// Side names an end of a connection; "" for nobody.
func Side(s httpreassembly.Side) string { return at(sides[:], int(s)) }

var connStates = [httpreassembly.NumConnStates]string{
	httpreassembly.StateSyn:          "syn",
	httpreassembly.StateHandshake:    "handshake",
	httpreassembly.StateOpen:         "open",
	httpreassembly.StateHalfClosed:   "half_closed",
	httpreassembly.StateServerClosed: "server_closed",
	httpreassembly.StateClosed:       "closed",
	httpreassembly.StateReset:        "reset",
	httpreassembly.StateZombie:       "zombie",
	httpreassembly.StateEvicted:      "evicted",
}

// ConnState names a state of a connection as gauges use it. Records have
// fewer states, see Ended.
func ConnState(s httpreassembly.ConnState) string { return at(connStates[:], int(s)) }

// Ended names the state in which a connection was left, of the five words
// that records use: closed, reset, half_closed, open, evicted.
func Ended(s httpreassembly.ConnState, how httpreassembly.How) string {
	if how == httpreassembly.ByEviction {
		return "evicted"
	}
	switch s {
	case httpreassembly.StateHalfClosed:
		return "half_closed"
	case httpreassembly.StateReset, httpreassembly.StateZombie:
		return "reset"
	case httpreassembly.StateClosed:
		return "closed"
	case httpreassembly.StateEvicted:
		return "evicted"
	}
	switch how {
	case httpreassembly.ByFIN:
		return "closed"
	case httpreassembly.ByRST:
		return "reset"
	}
	return "open"
}

var classes = [...]string{
	rules.ClassUnknown: "unknown",
	rules.ClassInstant: "instant",
	rules.ClassFast:    "fast",
	rules.ClassWork:    "work",
	rules.ClassHeavy:   "heavy",
	rules.ClassJob:     "job",
	rules.ClassStream:  "stream",
}

// Class names a command's class.
func Class(c rules.Class) string { return at(classes[:], int(c)) }

var severities = [...]string{detect.Info: "info", detect.Warning: "warning", detect.Critical: "critical"}

// Severity names a severity.
func Severity(s detect.Severity) string { return at(severities[:], int(s)) }

var alertStates = [...]string{detect.Firing: "firing", detect.Resolved: "resolved"}

// AlertState names the state of an alert.
func AlertState(s detect.State) string { return at(alertStates[:], int(s)) }

var levels = [...]string{
	httpreassembly.LevelFull:     "full",
	httpreassembly.LevelCommands: "commands",
	httpreassembly.LevelHeaders:  "headers",
	httpreassembly.LevelStates:   "states",
}

// Level names how much of the traffic is read.
func Level(l httpreassembly.Level) string { return at(levels[:], int(l)) }

var oddities = [httpreassembly.NumOddities]string{
	httpreassembly.OddNone:              "none",
	httpreassembly.OverlapDiffers:       "overlap_differs",
	httpreassembly.BadTCPChecksum:       "bad_tcp_checksum",
	httpreassembly.ResetOutOfWindow:     "reset_out_of_window",
	httpreassembly.SynInConnection:      "syn_in_connection",
	httpreassembly.DataInSyn:            "data_in_syn",
	httpreassembly.UrgentData:           "urgent_data",
	httpreassembly.StaleTimestamp:       "stale_timestamp",
	httpreassembly.DataAfterFin:         "data_after_fin",
	httpreassembly.FragmentsOverlap:     "fragments_overlap",
	httpreassembly.PacketCut:            "packet_cut",
	httpreassembly.NotHTTP:              "not_http",
	httpreassembly.TLSInstead:           "tls_instead",
	httpreassembly.HTTP2Instead:         "http2_instead",
	httpreassembly.BadFrame:             "bad_frame",
	httpreassembly.RapidReset:           "rapid_reset",
	httpreassembly.ProxyHeader:          "proxy_header",
	httpreassembly.BadRequestLine:       "bad_request_line",
	httpreassembly.BadStatusLine:        "bad_status_line",
	httpreassembly.BadHeader:            "bad_header",
	httpreassembly.ObsFold:              "obs_fold",
	httpreassembly.BareLF:               "bare_lf",
	httpreassembly.BareCR:               "bare_cr",
	httpreassembly.NulInHead:            "nul_in_head",
	httpreassembly.SpaceBeforeColon:     "space_before_colon",
	httpreassembly.HeadTooLarge:         "head_too_large",
	httpreassembly.BadContentLength:     "bad_content_length",
	httpreassembly.ContentLengthDiffers: "content_length_differs",
	httpreassembly.LengthAndChunked:     "length_and_chunked",
	httpreassembly.BadTransferCoding:    "bad_transfer_coding",
	httpreassembly.BadChunk:             "bad_chunk",
	httpreassembly.ChunkExtension:       "chunk_extension",
	httpreassembly.Trailers:             "trailers",
	httpreassembly.MethodUnknown:        "method_unknown",
	httpreassembly.VersionUnknown:       "version_unknown",
	httpreassembly.EarlyResponse:        "early_response",
	httpreassembly.UnaskedResponse:      "unasked_response",
	httpreassembly.ExtraBytes:           "extra_bytes",
	httpreassembly.PipelineTooDeep:      "pipeline_too_deep",
	httpreassembly.Informational:        "informational",
	httpreassembly.RequestUnread:        "request_unread",
	httpreassembly.BodyOnBodyless:       "body_on_bodyless",
}

// Oddity names an oddity.
func Oddity(o httpreassembly.Oddity) string { return at(oddities[:], int(o)) }

func at(words []string, i int) string {
	if i < 0 || i >= len(words) {
		return "unknown"
	}
	return words[i]
}

// Pause says why nobody looked, and what helps.
func Pause(p capture.Pause) (cause, cure string) {
	switch p {
	case capture.ClockSet:
		return "the clock of this machine was set forward", "let chrony or systemd-timesyncd keep it, so that it need not be set"
	case capture.Asleep:
		return "this machine was suspended", "watch on a machine that does not sleep"
	case capture.Stopped:
		return "stallwatch was stopped or got no CPU, and the ring overflowed", "give it CPU time (CPUWeight= or Nice= of its unit) or a larger --buffer-size, and do not freeze it"
	case capture.Unrecorded:
		return "the recording ended and another began", "none is needed"
	}
	return "unknown", ""
}
