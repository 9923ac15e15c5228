package ctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/events-aggregator/events-aggregator/pkg/deadletter"
)

// deadRows lists dead letters.
type deadRows struct{ *listing }

func (t *tool) deadRows() *deadRows {
	return &deadRows{t.list("dead_id", "dead_at", "queue", "reason", "class", "attempts", "cause", "error")}
}

func (r *deadRows) add(l *deadletter.Letter) error {
	return r.t.print(l.Record, func() error {
		return r.row(l.ID, l.DeadAt.Format(time.RFC3339), l.Queue, l.Reason, l.ErrorClass, l.Attempts, l.Cause, r.brief(l.Error))
	})
}

const shortText = 60

// printable is a text without what would move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// printableLines is printable that keeps line breaks and tabs.
func printableLines(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// short is the beginning of a text that may hold anything.
func short(s string) string {
	s = printable(s)
	if runes := []rune(s); len(runes) > shortText {
		return string(runes[:shortText]) + "…"
	}
	return s
}

// printGroups is "1 cause, 4,812 messages, since 10:02" above a table, or a
// line or document each.
func (t *tool) printGroups(groups []deadletter.Group, now time.Time) error {
	l := t.list("cause", "queue", "reason", "class", "messages", "since", "last", "error")
	for _, g := range groups {
		if err := t.print(g, func() error {
			if t.output == outputCSV {
				return l.row(g.Cause, g.Queue, g.Reason, g.ErrorClass, g.Messages, g.Since.Format(time.RFC3339), g.Last.Format(time.RFC3339), l.brief(g.Fingerprint))
			}
			return l.row(g.Cause, g.Queue, g.Reason, g.ErrorClass, thousands(g.Messages), clock(g.Since, now), clock(g.Last, now), short(g.Fingerprint))
		}); err != nil {
			return err
		}
	}
	if t.output == outputTable && len(groups) > 0 {
		s := deadletter.Summarise(groups)
		fmt.Fprintf(t.out, "%s, %s, since %s\n", counted(s.Causes, "cause"), counted(s.Messages, "message"), clock(*s.Since, now))
	}
	l.end()
	return nil
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return thousands(n) + " " + what
}

// thousands writes 4812 as 4,812.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// clock is a time as a person reads it: of today, the time of day alone.
func clock(at, now time.Time) string {
	at, now = at.Local(), now.Local() //nolint:gosmopolitan // somebody at a terminal reads it
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// takeView shows how a replay or purge goes on: on a terminal a bar, elsewhere
// a JSON line for each dead letter, and in a dry run what a list shows.
type takeView struct {
	t    *tool
	done string    // replayed, purged
	rows *deadRows // of a dry run
	bars *mpb.Progress
	bar  *mpb.Bar
	err  error // of writing
}

// takeView asks total, how many there will be (0: unknown), only for a bar.
func (t *tool) takeView(verb, done string, dry bool, total func() int) *takeView {
	v := &takeView{t: t, done: done}
	switch {
	case dry:
		v.rows = t.deadRows()
	case t.output == outputTable && isTerminal(t.errOut):
		v.bars = mpb.New(mpb.WithOutput(t.errOut))
		v.bar = v.bars.AddBar(int64(total()), mpb.PrependDecorators(decor.Name(verb+" "), decor.CountersNoUnit("%d / %d")),
			mpb.AppendDecorators(decor.AverageSpeed(0, "%.0f/s "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return v
}

func (v *takeView) one(l *deadletter.Letter, failed error) {
	switch {
	case v.rows != nil:
		v.err = errors.Join(v.err, v.rows.add(l))
	case v.bar != nil && failed == nil:
		v.bar.Increment()
	case v.bar == nil && v.err == nil:
		line := map[string]any{"dead_id": l.ID, "queue": l.Queue, v.done: failed == nil}
		if failed != nil {
			line["error"] = failed.Error()
		}
		v.err = v.t.print(line, func() error { return v.t.printLine(line) })
	}
}

func (v *takeView) end(complete bool) error {
	switch {
	case v.rows != nil:
		v.rows.end()
	case v.bar != nil && complete:
		v.bar.SetTotal(-1, true) // what was met is all there was
		v.bars.Wait()
	case v.bar != nil:
		v.bar.Abort(false)
		v.bars.Wait()
	}
	return v.err
}
