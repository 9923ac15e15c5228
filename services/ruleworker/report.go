package ruleworker

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Reports is where workers say which rules they hold.
type Reports interface {
	ReportRules(ctx context.Context, h rule.Holding) error
	// BeatRules says that nothing changed since.
	BeatRules(ctx context.Context, worker string, at time.Time, every time.Duration) error
	ForgetRules(ctx context.Context, worker string) error
}

// reporter tells others which rules this worker holds. What it says decides
// nothing, so an error is a warning. A nil one tells nobody.
type reporter struct {
	reports Reports
	worker  string
	host    string
	log     *zap.Logger
	now     func() time.Time

	// warned is what is wrong with the rules of a set; nil: nothing ever is.
	warned func(*rule.Set) []rule.HeldInPart

	said    *held // what was reported last
	saidToo []rule.HeldInPart
	at      time.Time
}

func newReporter(reports Reports, worker string, log *zap.Logger) *reporter {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &reporter{reports: reports, worker: worker, host: host, log: log, now: func() time.Time { return time.Now().UTC() }}
}

// reportTimeout bounds one report; longestError what is said of a broken rule.
const (
	reportTimeout = 5 * time.Second
	longestError  = 500
)

// tell says what is held now, or that it is still the same.
func (r *reporter) tell(ctx context.Context, h *held, every time.Duration) {
	if r == nil || h.stamp == noStamp {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	now := r.now()
	var warned []rule.HeldInPart
	if r.warned != nil {
		warned = r.warned(h.set)
	}
	if h == r.said && slices.Equal(warned, r.saidToo) {
		if r.reports.BeatRules(ctx, r.worker, now, every) == nil {
			return
		}
	} else if h != r.said {
		r.at = now
	}
	versions := h.set.Versions()
	report := rule.Holding{Worker: r.worker, Host: r.host, Stamp: h.stamp, Rules: len(versions), Digest: rule.DigestOf(versions),
		LoadedAt: r.at, BeatAt: now, Every: every, Warned: warned}
	for _, b := range h.broken {
		text := b.Err.Error()
		report.Broken = append(report.Broken, rule.NotHeld{RuleID: b.ID, Name: b.Name, Error: strings.ToValidUTF8(text[:min(len(text), longestError)], "")})
	}
	if err := r.reports.ReportRules(ctx, report); err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			r.log.Warn("not reported which rules are held", zap.Error(err))
		}
		return
	}
	r.said, r.saidToo = h, warned
}

// end takes the report back: a worker that ends holds nothing.
func (r *reporter) end(ctx context.Context) {
	if r == nil || r.said == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTimeout)
	defer cancel()
	if err := r.reports.ForgetRules(ctx, r.worker); err != nil {
		r.log.Warn("the report of the rules held stays until it expires", zap.Error(err))
	}
}
