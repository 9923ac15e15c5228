package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error says what is wrong, with a line for each mistake.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("\n  %s%s: %s", e.Pointer, e.Parameter, e.Message)
	}
	return text
}

// Passing says whether the same request may be answered better later.
func (p *Problem) Passing() bool {
	return p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests
}

func (c *Client) problem(answer *http.Response, text []byte) *Problem {
	var p Problem
	if json.Unmarshal(text, &p) != nil || p.Title == "" {
		p = Problem{Detail: answer.Status + " from " + c.base + ", which is not this API's way of answering"}
	}
	p.Status = int64(answer.StatusCode)
	p.RetryAfter = retryAfter(answer.Header.Get("Retry-After"), time.Now())
	return &p
}

// retryAfter is how long the header Retry-After, seconds or a date, has one wait.
func retryAfter(said string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(said, 10, 32); err == nil {
		return time.Duration(max(0, seconds)) * time.Second
	}
	if at, err := http.ParseTime(said); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// Unreachable says that no answer came.
type Unreachable struct {
	Base string // the API's address
	Err  error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("the API at %s does not answer: %v", u.Base, u.Err)
}

func (u *Unreachable) Unwrap() error { return u.Err }

// ETag is what IfMatch asks for, to change a rule or template only while it is
// at this version.
func ETag(version int64) string { return fmt.Sprintf("%q", number(version)) }
