package capture

import "time"

// Time is an instant in Unix nanoseconds, UTC. The core uses it in place of
// time.Time because it is 8 bytes without a pointer (a connection keeps
// several, and there may be a million connections), and because it is the
// total order of a run: no two Items of a Source share one. Zero means
// "never happened". It reaches from 1678 to 2262; readers clamp what a file
// claims beyond that.
type Time int64

// At converts t.
func At(t time.Time) Time { return Time(t.UnixNano()) }

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// String returns RFC 3339 with nanoseconds in UTC, and "never" for zero.
func (t Time) String() string {
	if t == 0 {
		return "never"
	}
	return t.Std().Format(time.RFC3339Nano)
}
