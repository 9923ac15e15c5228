package store

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// holdingRetention is how long a worker that says nothing any more is shown.
const holdingRetention = 10 * time.Minute

// ReportRules says which rules a worker holds.
func (s *Store) ReportRules(ctx context.Context, h rule.Holding) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if h.Broken == nil {
		h.Broken = []rule.NotHeld{}
	}
	_, err := s.ruleWorkers.ReplaceOne(ctx, bson.D{field("_id", h.Worker)}, struct {
		rule.Holding `bson:",inline"`
		ExpiresAt    time.Time `bson:"expires_at"`
	}{h, h.BeatAt.Add(3*h.Every + holdingRetention)}, options.Replace().SetUpsert(true))
	return classify("report the rules that are held", err)
}

// BeatRules says that a worker still holds what it reported; ErrNotFound when
// that is forgotten.
func (s *Store) BeatRules(ctx context.Context, worker string, at time.Time, every time.Duration) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	result, err := s.ruleWorkers.UpdateOne(ctx, bson.D{field("_id", worker)}, bson.D{field("$set", bson.D{
		field("beat_at", at), field("expires_at", at.Add(3*every+holdingRetention)),
	})})
	if err == nil && result.MatchedCount == 0 {
		return ErrNotFound
	}
	return classify("report that the rules are held", err)
}

// ForgetRules removes a worker that ends.
func (s *Store) ForgetRules(ctx context.Context, worker string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := s.ruleWorkers.DeleteOne(ctx, bson.D{field("_id", worker)})
	return classify("forget a rule-worker", err)
}

// RuleHoldings lists what the rule-workers hold.
func (s *Store) RuleHoldings(ctx context.Context) ([]rule.Holding, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.ruleWorkers.Find(ctx, bson.D{}, options.Find().SetSort(keys("_id", 1)))
	found, err := readable[rule.Holding](ctx, cur, err, s.leavesOut(s.ruleWorkers))
	if found == nil {
		found = []rule.Holding{}
	}
	return found, classify("list what the rule-workers hold", err)
}

// EnabledVersions are the versions of the enabled rules, by id.
func (s *Store) EnabledVersions(ctx context.Context) (map[string]int, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.rules.Find(ctx, bson.D{field("enabled", true)}, options.Find().SetProjection(bson.D{field("version", 1)}))
	if err != nil {
		return nil, classify("list versions of enabled rules", err)
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	versions := map[string]int{}
	for cur.Next(ctx) { // also of those that nobody can read
		version, _ := cur.Current.Lookup("version").AsInt64OK()
		versions[strings.Clone(idText(cur.Current.Lookup("_id")))] = int(version)
	}
	return versions, classify("list versions of enabled rules", cur.Err())
}
