package backtest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
	"github.com/events-aggregator/events-aggregator/pkg/silence"
)

// Source is where the stored events are.
type Source interface {
	Search(conditions bson.Raw) Search
	// Windows are the events that a rule's windows count.
	Windows(r *rule.Rule) window.Source
	EventsByID(ctx context.Context, ids []primitive.ObjectID) (map[primitive.ObjectID]bson.Raw, error)
}

// Search is what the database finds by a rule's condition. An error with a
// method TooSlow that says true ends a back-test early and fails nothing.
type Search interface {
	// Counts counts the matches in [from, to) by hour or day.
	Counts(ctx context.Context, from, to time.Time, unit string) ([]Count, error)
	// Events hands matches to f in the order of time, at most limit (0: all).
	Events(ctx context.Context, from, to time.Time, newest bool, limit int, fields []string, f func(bson.Raw) bool) error
	// Without are the matches that are none of the other's.
	Without(other Search) Search
	// Index names the index that serves the search.
	Index(ctx context.Context, from, to time.Time) string
}

// Request is what is tested.
type Request struct {
	Rule     rule.Rule // compiled before; version 0: a draft
	From, To time.Time
	Now      time.Time
	Live     *rule.Rule        // to compare with; nil: nothing
	Silences []silence.Silence // in force in the range
}

const (
	samplesShown = 20
	// longestByHour is the longest range that is counted by the hour.
	longestByHour = 35 * 24 * time.Hour
	// slices is into how many parts a range is cut: enough to see progress, few
	// enough to cost nothing.
	slicesMost = 48
	// countShare is the part of the time that counting may take: what follows must
	// have some, or nothing would ever be said about actions.
	countShare = 0.6
)

// Run tests a rule. It ends when ctx does, with what it has until then; progress
// may be nil. An error is the database's.
func Run(ctx context.Context, source Source, req Request, progress func(Progress)) (Report, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	t := &test{source: source, req: req, progress: progress, search: source.Search(req.Rule.Conditions), report: Report{
		RuleID: req.Rule.ID, Name: req.Rule.Name, Version: req.Rule.Version, From: req.From, To: req.To, Until: req.To,
		Unit: "hour", Counts: []Count{}, Samples: []Sample{},
	}}
	if req.To.Sub(req.From) > longestByHour {
		t.report.Unit = "day"
	}
	steps := []func(context.Context) error{t.count, t.ends, t.acts, t.compare}
	for _, step := range steps {
		err := step(ctx)
		why, cut := isCut(err)
		switch {
		case cut:
			t.report.Cut = cmp.Or(t.report.Cut, why)
		case err != nil:
			return Report{}, err
		}
	}
	return t.report, nil
}

// test is a back-test under way.
type test struct {
	source   Source
	req      Request
	progress func(Progress)
	search   Search
	report   Report
	found    []window.Alert // of the tested rule
}

func (t *test) say(stage string, part float64, at time.Time) {
	t.progress(Progress{Stage: stage, Part: part, Matches: t.report.Matches, At: at})
}

// count counts the matches, slice by slice.
func (t *test) count(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(countShare*float64(time.Until(until))))
		defer cancel()
	}
	t.report.Index = t.search.Index(ctx, t.req.From, t.req.To)
	for from := t.req.From; from.Before(t.req.To); {
		to := t.sliceEnd(from)
		counts, err := t.search.Counts(ctx, from, to, t.report.Unit)
		if err != nil {
			t.report.Until = from
			return err
		}
		for _, c := range counts {
			t.report.Matches += c.Matches
			if last := len(t.report.Counts) - 1; last >= 0 && t.report.Counts[last].At.Equal(c.At) {
				t.report.Counts[last].Matches += c.Matches
				continue
			}
			t.report.Counts = append(t.report.Counts, c)
		}
		from = to
		t.say("count", t.partOf(to), to)
	}
	return nil
}

// sliceEnd is where the slice that begins at from ends: at a whole hour.
func (t *test) sliceEnd(from time.Time) time.Time {
	width := max(t.req.To.Sub(t.req.From)/slicesMost, time.Hour).Truncate(time.Hour)
	end := from.Truncate(width).Add(width)
	if end.After(t.req.To) {
		return t.req.To
	}
	return end
}

func (t *test) partOf(at time.Time) float64 {
	return float64(at.Sub(t.req.From)) / float64(t.req.To.Sub(t.req.From))
}

// ends finds the first and the newest matches.
func (t *test) ends(ctx context.Context) error {
	if t.report.Matches == 0 {
		return nil
	}
	err := t.search.Events(ctx, t.req.From, t.report.Until, false, 1, sampleFields, func(doc bson.Raw) bool {
		first := sampleOf(doc)
		t.report.First = &first
		return true
	})
	if err != nil {
		return err
	}
	t.report.Samples, err = samples(ctx, t.search, t.req.From, t.report.Until)
	if len(t.report.Samples) > 0 {
		last := t.report.Samples[0]
		t.report.Last = &last
	}
	return err
}

var sampleFields = []string{"event_id", "timestamp", "type", "source", "severity"}

func sampleOf(doc bson.Raw) Sample {
	var s Sample
	s.EventID, _ = doc.Lookup("event_id").StringValueOK()
	s.Timestamp, _ = doc.Lookup("timestamp").TimeOK()
	s.Timestamp = s.Timestamp.UTC()
	s.Type, _ = doc.Lookup("type").StringValueOK()
	s.Source, _ = doc.Lookup("source").StringValueOK()
	s.Severity, _ = doc.Lookup("severity").AsInt64OK()
	return s
}

// samples are the newest matches, the newest first.
func samples(ctx context.Context, s Search, from, to time.Time) ([]Sample, error) {
	found := []Sample{}
	err := s.Events(ctx, from, to, true, samplesShown, sampleFields, func(doc bson.Raw) bool {
		found = append(found, sampleOf(doc))
		return true
	})
	slices.SortStableFunc(found, func(a, b Sample) int { return b.Timestamp.Compare(a.Timestamp) })
	return found, err
}

// acts finds what the matches, or the alerts, come to.
func (t *test) acts(ctx context.Context) error {
	n, err := newNoise(t.req.Rule, t.req.Silences)
	if err != nil {
		return err
	}
	if t.req.Rule.Window != nil {
		err = t.actOnAlerts(ctx, n)
	} else {
		err = t.actOnMatches(ctx, n)
	}
	n.finish()
	t.report.Actions = n.actions()
	if _, cut := isCut(err); cut && t.report.Actions.Owed < t.report.Matches && t.req.Rule.Window == nil {
		t.report.Actions.Note = "what is held back was found out for the first matches only"
	}
	return err
}

// together is how many matches are decided at once.
const together = 500

func (t *test) actOnMatches(ctx context.Context, n *noise) error {
	if !n.asks() { // every match passes, none need be read
		n.owed, n.left = t.report.Matches, t.report.Matches
		return nil
	}
	fields := []string{"event_id", "timestamp"}
	if n.readsEvents() {
		fields = nil
	}
	matches := make([]match, 0, together)
	var takeErr error
	take := func() bool {
		_, takeErr = n.take(matches)
		if len(matches) > 0 {
			at := matches[len(matches)-1].at
			t.say("noise", t.partOf(at), at)
		}
		matches = matches[:0]
		return takeErr == nil
	}
	err := t.search.Events(ctx, t.req.From, t.report.Until, false, 0, fields, func(doc bson.Raw) bool {
		m := match{event: slices.Clone(doc)}
		m.at, _ = doc.Lookup("timestamp").TimeOK()
		m.eventID, _ = doc.Lookup("event_id").StringValueOK()
		matches = append(matches, m)
		return len(matches) < together || take()
	})
	if takeErr == nil {
		take()
	}
	return errors.Join(takeErr, err)
}
