package faultproxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Rule says which requests meet a Fault. What is zero matches everything.
type Rule struct {
	Method   string
	Contains string  // part of the path with its query, as the client wrote it
	Skip     int     // so many matching requests pass first
	Times    int     // so many meet the fault, then the rule is spent; 0 = all
	Chance   float64 // that a matching request meets the fault; 0 = always
	Fault    Fault
}

// Fault is what goes wrong. Its parts can be combined.
type Fault struct {
	Delay  time.Duration // before the request is passed on or answered
	Answer *Answer       // instead of the server's; the server never sees the request
	// Request and Response are done to the bodies.
	Request, Response Body
	// WrongChecksum changes the ETag and all checksums in the headers of the response.
	WrongChecksum bool
	// Lost passes the request on and resets the connection when the server has answered, before the client sees any of it.
	Lost bool
}

// Action is what is done to a body.
type Action int

// The actions, each at byte Body.At.
const (
	Pass     Action = iota
	Reset           // the client's connection is reset; the server's is closed
	Truncate        // as Reset, but the client's connection is closed in good order
	Corrupt         // a bit of the byte is flipped; further bytes pass
	Stall           // nothing passes until Body.Release is closed
	Trickle         // from here on Body.Piece bytes pass every Body.Every
)

// Body is what is done to the body of a request or response. The zero value does nothing.
type Body struct {
	Do      Action
	At      int64           // offset in the body as it is on the wire; a body that is shorter is not touched
	Release <-chan struct{} // for Stall; nil stalls until the client or the proxy closes
	Piece   int             // for Trickle; 0 = 1
	Every   time.Duration   // for Trickle
}

// Answer is a response that the proxy makes up.
type Answer struct {
	Status     int
	RetryAfter time.Duration // of whole seconds; 0 = no such header
	Header     http.Header
	Body       string
}

// S3Error returns the answer that S3 gives with an error.
func S3Error(status int, code, message string) *Answer {
	return &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/xml"}},
		Body: fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><RequestId>0123456789ABCDEF</RequestId></Error>",
			code, message),
	}
}

// The answers that S3 gives to what clients meet most.

// InternalError is a 500.
func InternalError() *Answer {
	return S3Error(500, "InternalError", "We encountered an internal error. Please try again.")
}

// SlowDown is a 503 that asks to wait.
func SlowDown(after time.Duration) *Answer {
	a := S3Error(503, "SlowDown", "Please reduce your request rate.")
	a.RetryAfter = after
	return a
}

// TooMany is a 429 that asks to wait.
func TooMany(after time.Duration) *Answer {
	a := S3Error(429, "TooManyRequests", "Please reduce your request rate.")
	a.RetryAfter = after
	return a
}

// Expired says that the credentials have expired.
func Expired() *Answer {
	return S3Error(400, "ExpiredToken", "The provided token has expired.")
}

// Denied says that the credentials lack a right.
func Denied() *Answer {
	return S3Error(403, "AccessDenied", "Access Denied")
}

// Skewed says that the clocks differ.
func Skewed() *Answer {
	return S3Error(403, "RequestTimeTooSkewed", "The difference between the request time and the server's time is too large.")
}

// write sends the answer to a client.
func (a *Answer) write(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	if a.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((a.RetryAfter+time.Second-1)/time.Second), 10))
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write([]byte(a.Body))
	return err
}

// Active is a rule at work.
type Active struct {
	rule    Rule
	matched int // Proxy.mu
	hits    atomic.Int64
}

// Hits returns how many requests have met the fault.
func (a *Active) Hits() int { return int(a.hits.Load()) }

// fires says whether the request meets the fault. Proxy.mu is held.
func (a *Active) fires(method, uri string, rng *rand.Rand) bool {
	r := &a.rule
	if r.Method != "" && r.Method != method || !strings.Contains(uri, r.Contains) || r.Times > 0 && a.Hits() >= r.Times {
		return false
	}
	a.matched++
	if a.matched <= r.Skip || r.Chance > 0 && rng.Float64() >= r.Chance {
		return false
	}
	a.hits.Add(1)
	return true
}
