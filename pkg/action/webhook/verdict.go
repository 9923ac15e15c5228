package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// The error classes of answers.
const (
	ClassRedirect    = "redirect"     // 3xx: not followed, the configuration names the wrong URL
	ClassGone        = "gone"         // 410: the receiver wants no more, ever
	ClassRateLimited = "rate_limited" // 429
	ClassUnavailable = "unavailable"  // 503
	ClassClient      = "http_4xx"
	ClassServer      = "http_5xx"
	ClassProtocol    = "http_invalid" // no status of HTTP
)

// maxRetryAfter bounds what a receiver can ask for.
const maxRetryAfter = 24 * time.Hour

// Verdict judges an answer by its status: what it came to, how long the
// receiver asked to wait (0: it did not), and the error class ("" for success).
func Verdict(status int, header http.Header, now time.Time) (outcome notification.Outcome, retryAfter time.Duration, class string) {
	switch {
	case 200 <= status && status < 300:
		return notification.OutcomeOK, 0, ""
	case 300 <= status && status < 400:
		return notification.OutcomePermanent, 0, ClassRedirect
	case status == http.StatusGone:
		return notification.OutcomePermanent, 0, ClassGone
	case status == http.StatusTooManyRequests:
		return notification.OutcomeRetry, waitFor(header, now), ClassRateLimited
	case 400 <= status && status < 500:
		return notification.OutcomePermanent, 0, ClassClient
	case status == http.StatusServiceUnavailable:
		return notification.OutcomeRetry, waitFor(header, now), ClassUnavailable
	case 500 <= status && status < 600:
		return notification.OutcomeRetry, 0, ClassServer
	default:
		return notification.OutcomeRetry, 0, ClassProtocol
	}
}

// waitFor reads Retry-After: seconds, or a time.
func waitFor(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		if seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
