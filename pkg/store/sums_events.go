package store

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// EventSums answers as Sums does from the events themselves: what was not
// counted yet is in it, and f may ask for what metrics do not know. What it needs of
// memory is bounded (metric.Names, metric.TallyMost), whatever producers send: beyond
// that values are metric.Other, as in what was counted.
func (s *Store) EventSums(ctx context.Context, q SumsQuery, f EventFilter) ([]SumsRow, error) {
	names, err := s.eventNames(ctx)
	if err != nil {
		return nil, err
	}
	tally := metric.NewTally(q.Window, q.By, q.Responses, names, s.tallyMost)
	if err := s.addEvents(ctx, q, f, tally); err != nil {
		return nil, err
	}
	rows := make([]SumsRow, 0, tally.Len())
	tally.Each(func(key metric.TallyKey, sums metric.Sums) {
		row := SumsRow{Series: key.Series, Sums: sums}
		if q.Window.Name != "" {
			row.Start = time.Unix(key.Start, 0).UTC()
		}
		rows = append(rows, row)
	})
	slices.SortFunc(rows, SumsRow.compare)
	return rows, nil
}

// EventApart answers so as Apart does.
func (s *Store) EventApart(ctx context.Context, q SumsQuery, f EventFilter) (metric.Apart, error) {
	names, err := s.eventNames(ctx)
	if err != nil {
		return metric.Apart{}, err
	}
	tally := metric.NewApartTally(q.Responses, names)
	if err := s.addEvents(ctx, q, f, tally); err != nil {
		return metric.Apart{}, err
	}
	return tally.Apart(), nil
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
	const doing = "add up events"
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
		return searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if err := to.Add(cur.Current); err != nil {
			return searched(doing, err)
		}
	}
	return searched(doing, cur.Err())
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
