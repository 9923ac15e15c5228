package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

// otherValues stands for the values of a dimension that a question does not tell
// apart. An event that really has it is counted with them.
const otherValues = "\x00"

// apartOf are the values of the dimension whose windows a question tells apart: those
// with the most events, or response times, in the whole range. nil: all, since
// they are few. A thousand values of a day's minutes would be more rows than
// this process has room for, of which an answer shows the largest.
func (q SumsQuery) apartOf(ctx context.Context, s *Store, now time.Time) ([]string, error) {
	if q.Largest == 0 || q.Window.Name == "" || len(q.By) != 1 {
		return nil, nil
	}
	registry, err := s.Registry(ctx)
	if err != nil || len(registry[q.By[0]].Values) < q.Largest { // which names neither an absent region nor `other`
		return nil, err
	}
	whole := q
	whole.Window = metric.Period{}
	rows, err := s.Sums(ctx, whole, now)
	if err != nil {
		return nil, err
	}
	return q.largest(rows), nil
}

// largest are the values with the most events, or response times, among the rows of a
// whole range.
func (q SumsQuery) largest(rows []SumsRow) []string {
	counted := func(r SumsRow) int64 {
		if q.Responses {
			return r.Response.Count
		}
		return r.Count
	}
	slices.SortFunc(rows, func(a, b SumsRow) int { return cmp.Or(cmp.Compare(counted(b), counted(a)), a.Compare(b.Series)) })
	names := []string{}
	for _, r := range rows[:min(len(rows), q.Largest)] {
		names = append(names, q.By[0].Of(r.Series))
	}
	return names
}

// under is what a value of a dimension counts under.
func (q SumsQuery) under(value string) string {
	if q.apart == nil || slices.Contains(q.apart, value) {
		return value
	}
	return otherValues
}

// underIn is under as the database works it out.
func (q SumsQuery) underIn(path string) any {
	if q.apart == nil {
		return path
	}
	known := bson.D{field("$in", bson.A{path, bson.D{field("$literal", q.apart)}})}
	return bson.D{field("$cond", bson.A{known, path, otherValues})}
}

// isOther says whether a row is of the values that are not told apart.
func isOther(series metric.Series) bool {
	return slices.ContainsFunc(metric.Dimensions, func(d metric.Dimension) bool { return d.Of(series) == otherValues })
}
