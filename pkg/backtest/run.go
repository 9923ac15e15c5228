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
	for from := t.req.From; from.Before(t.req.To); {
		to := t.sliceEnd(from)
		counts, err := t.search.Counts(ctx, from, to, t.report.Unit)
		if err != nil {
			t.report.Until = from
			return err
		}
		t.report.Counts = merged(t.report.Counts, counts, &t.report.Matches)
		from = to
		t.say("count", t.partOf(to), to)
	}
	return nil
}

// merged appends the counts of the next slice, which may begin in the hour, or day,
// in which the one before ended.
func merged(all, next []Count, total *int64) []Count {
	for _, c := range next {
		*total += c.Matches
		if last := len(all) - 1; last >= 0 && all[last].At.Equal(c.At) {
			all[last].Matches += c.Matches
			continue
		}
		all = append(all, c)
	}
	return all
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

// ends finds the first and the newest matches. The counts say in which hours they
// are: a search of the whole range would read and sort every match again.
func (t *test) ends(ctx context.Context) error {
	if len(t.report.Counts) == 0 {
		return nil
	}
	from, to := t.bucket(t.report.Counts[0].At)
	err := t.search.Events(ctx, from, to, false, 1, sampleFields, func(doc bson.Raw) bool {
		first := sampleOf(doc)
		t.report.First = &first
		return true
	})
	if err != nil {
		return err
	}
	t.report.Samples, err = t.newest(ctx, t.search, t.report.Counts)
	if len(t.report.Samples) > 0 {
		last := t.report.Samples[0]
		t.report.Last = &last
	}
	return err
}

// bucket is the part of the range that one of the counts is about.
func (t *test) bucket(at time.Time) (from, to time.Time) {
	from, to = at, at.Add(t.unit())
	if from.Before(t.req.From) {
		from = t.req.From
	}
	if to.After(t.report.Until) {
		to = t.report.Until
	}
	return from, to
}

func (t *test) unit() time.Duration {
	if t.report.Unit == "day" {
		return 24 * time.Hour
	}
	return time.Hour
}

// newest are the newest matches, the newest first, from as many of the last hours
// as it takes.
func (t *test) newest(ctx context.Context, s Search, counts []Count) ([]Sample, error) {
	found := []Sample{}
	if len(counts) == 0 {
		return found, nil
	}
	first, n := len(counts)-1, counts[len(counts)-1].Matches
	for first > 0 && n < samplesShown {
		first--
		n += counts[first].Matches
	}
	from, _ := t.bucket(counts[first].At)
	err := s.Events(ctx, from, t.report.Until, true, samplesShown, sampleFields, func(doc bson.Raw) bool {
		found = append(found, sampleOf(doc))
		return true
	})
	slices.SortStableFunc(found, func(a, b Sample) int { return b.Timestamp.Compare(a.Timestamp) })
	return found, err
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
