package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// EventSums answers as Sums does from the events themselves: what was not
// counted yet is in it, and f may ask for what metrics do not know.
func (s *Store) EventSums(ctx context.Context, q SumsQuery, f EventFilter) ([]SumsRow, error) {
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
	tally := metric.NewTally(q.Window, q.By, q.Responses)
	read := keys("_id", 0)
	for _, path := range tally.Fields() {
		read = append(read, field(path, 1))
	}
	cur, err := s.events.Find(ctx, f.selected(how, region...),
		s.reading(s.findBy(ctx, how.index).SetMaxTime(timeLeft(ctx)).SetBatchSize(eventsTogether), read))
	if err != nil {
		return nil, searched(doing, err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	for cur.Next(ctx) {
		if err := tally.Add(cur.Current); err != nil {
			return nil, searched(doing, err)
		}
	}
	if err := cur.Err(); err != nil {
		return nil, searched(doing, err)
	}
	rows := rowSums{}
	tally.Each(func(key metric.TallyKey, sums metric.Sums) {
		var start time.Time
		if q.Window.Name != "" {
			start = time.Unix(key.Start, 0)
		}
		rows.at(start, key.Series).Sums = sums
	})
	return rows.sorted(), nil
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
