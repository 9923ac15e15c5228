package ctl

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// selection is which dead letters a command means.
type selection struct {
	what                    deadletter.Filter
	since, until, condition string
	limit                   int
}

func (s *selection) flags(f *pflag.FlagSet) {
	f.StringVar(&s.what.ID, "id", "", "only this dead letter")
	f.StringVar(&s.what.Reason, "reason", "", "only this reason (permanent, exhausted, expired, delivery-limit, …)")
	f.StringVar(&s.what.Class, "class", "", "only this error class")
	f.StringVar(&s.what.Cause, "cause", "", "only this cause, as dlq groups names it")
	f.StringVar(&s.what.Rule, "rule", "", "only of the rule with this id")
	f.StringVar(&s.what.Target, "target", "", "only calls of this host")
	f.StringVar(&s.what.Type, "type", "", "only of events of this type")
	f.StringVar(&s.what.Error, "error", "", "only errors that contain this text")
	f.StringVar(&s.since, "since", "", "died then or later: RFC 3339, or how long ago")
	f.StringVar(&s.until, "until", "", "died before: RFC 3339, or how long ago")
	f.StringVar(&s.condition, "filter", "", `only bodies that match this condition, e.g. '{"event.payload.amount":{"$gte":100}}'`)
	f.IntVar(&s.limit, "limit", 0, "at most so many; 0: all")
}

// filter checks all flags and names every mistake.
func (s *selection) filter(now time.Time) (deadletter.Filter, error) {
	f := s.what
	var wrong []string
	var err error
	if f.Since, err = moment(s.since, now); err != nil {
		wrong = append(wrong, "--since: "+err.Error())
	}
	if f.Until, err = moment(s.until, now); err != nil {
		wrong = append(wrong, "--until: "+err.Error())
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		wrong = append(wrong, "--since is not before --until")
	}
	if s.condition != "" {
		raw, err := rule.ParseCondition([]byte(s.condition))
		if err == nil {
			f.Condition, err = rule.Compile(raw)
		}
		if err != nil {
			wrong = append(wrong, "--filter: "+err.Error())
		}
	}
	if s.limit < 0 {
		wrong = append(wrong, "--limit is negative")
	}
	if len(wrong) > 0 {
		return f, &usageError{fmt.Errorf("%s", strings.Join(wrong, "; "))}
	}
	return f, nil
}

// expected is how many dead letters a command will meet, 0 when only reading
// them all would tell.
func (s *selection) expected(ctx context.Context, q *deadletter.Queue) int {
	if s.what.IDs != nil {
		return len(s.what.IDs)
	}
	if s.what.Restricts() || s.since != "" || s.until != "" || s.condition != "" {
		return s.limit
	}
	n, err := q.Depth(ctx)
	if err != nil {
		return s.limit
	}
	if s.limit > 0 {
		return min(s.limit, n)
	}
	return n
}

// moment is a time, or a duration before now; zero when nothing is said.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.UTC().Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither an RFC 3339 time nor a duration such as 90m", s)
}
