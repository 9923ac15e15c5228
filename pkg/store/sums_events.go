package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const addingUpEvents = "add up events"

// EventSums answers as Sums does from the events themselves: what was not
// counted yet is in it, and f may ask for what metrics do not know. What it needs of
// memory is bounded (metric.Names, metric.TallyMost), whatever producers send: where
// the windows of all values are too many, the events are read again for those of the
// Largest alone, which are known then. Who names none, or several dimensions, has no
// answer there.
func (s *Store) EventSums(ctx context.Context, q SumsQuery, f EventFilter) ([]SumsRow, error) {
	names, err := s.eventNames(ctx)
	if err != nil {
		return nil, err
	}
	tally := metric.NewTally(q.Window, q.By, q.Responses, names, metric.Room{Rows: s.tallyMost, Values: q.Largest})
	if err := s.addEvents(ctx, q, f, tally); err != nil {
		return nil, err
	}
	if tally.Whole() {
		if q.Largest == 0 {
			return nil, fmt.Errorf("%s: %w", addingUpEvents, metric.ErrTallyFull)
		}
		q.apart = q.largest(q.rowsOf(tally))
		tally = metric.NewTally(q.Window, q.By, q.Responses, names, metric.Room{}).Under(q.under)
		if err := s.addEvents(ctx, q, f, tally); err != nil {
			return nil, err
		}
	}
	return q.rowsOf(tally), nil
}

func (q SumsQuery) rowsOf(tally *metric.Tally) []SumsRow {
	rows := rowSums{}
	tally.Each(func(key metric.TallyKey, sums metric.Sums) {
		var start time.Time
		if q.Window.Name != "" {
			start = time.Unix(key.Start, 0)
		}
		rows.at(start, key.Series).Sums = sums
	})
	return rows.sorted()
}

// EventApart answers so as Apart does, of the query's range and of others that are
// compared with it: a value that has a name in the first has it in all.
func (s *Store) EventApart(ctx context.Context, q SumsQuery, f EventFilter, others ...metric.Range) ([]metric.Apart, error) {
	names, err := s.eventNames(ctx)
	if err != nil {
		return nil, err
	}
	var all []metric.Apart
	for _, q.Range = range append([]metric.Range{q.Range}, others...) {
		tally := metric.NewApartTally(q.Responses, names)
		if err := s.addEvents(ctx, q, f, tally); err != nil {
			return nil, err
		}
		all = append(all, tally.Apart())
	}
	return all, nil
}

func (s *Store) eventNames(ctx context.Context) (*metric.Names, error) {
	registry, err := s.Registry(ctx)
	return metric.NewNames(registry, s.namesMost), searched("look up what is counted by name", err)
}

// addEvents hands the events that are asked for to a tally.
func (s *Store) addEvents(ctx context.Context, q SumsQuery, f EventFilter, to interface {
	Fields() []string
	Add(event bson.Raw) error
}) error {
	f.From, f.To = q.From, q.To
	if v := q.value(metric.Type); v != nil {
		f.Type = *v
	}
	if v := q.value(metric.Source); v != nil {
		f.Source = *v
	}
	how := f.served()
	if how.index == "" || how.index == "location" { // every pipeline names an index
		how = served{index: "time"}
	}
	var region bson.D
	if q.Region != nil {
		region = bson.D{regionIs(*q.Region)}
	}
	read := keys("_id", 0)
	for _, path := range to.Fields() {
		read = append(read, field(path, 1))
	}
	cur, err := s.events.Find(ctx, f.selected(how, region...),
		s.reading(s.findBy(ctx, how.index).SetMaxTime(timeLeft(ctx)).SetBatchSize(eventsTogether), read))
	if err != nil {
		return searched(addingUpEvents, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if err := to.Add(cur.Current); err != nil {
			return fmt.Errorf("%s: %w", addingUpEvents, err)
		}
	}
	return searched(addingUpEvents, cur.Err())
}

// eventsTogether are in one answer of the server. Some servers send them whole.
const eventsTogether = 1000

// regionIs finds events by the region that they are counted under.
func regionIs(region string) bson.E {
	if region == "" { // absent, or no string
		return field("metadata.region", bson.D{field("$not", bson.D{field("$type", "string")})})
	}
	return field("metadata.region", region)
}
