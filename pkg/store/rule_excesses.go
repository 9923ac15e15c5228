package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"

	"github.com/events-aggregator/events-aggregator/pkg/decision"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// ruleDisabled is what the audit says about a rule that was disabled by itself.
const ruleDisabled = "rule.disable"

// countExcesses counts the evaluations that were given up, in the deciding
// transaction: a batch that comes again is not counted again.
func (s *Store) countExcesses(sc mongo.SessionContext, at time.Time, batches []decision.Batch) error {
	c := decision.NewExcessCounter(batches)
	if err := recall(sc, s, s.ruleExcesses, &c.Rules); err != nil {
		return err
	}
	c.Count(at)
	return memorise(sc, s.ruleExcesses, &c.Rules)
}

// DisableExcessive disables, of the rules that exceeded their budget (by the ids
// of decision.ExcessesOf), those that did so too often, announces it in the same
// transaction, and returns their names. A rule that was changed since is left
// alone.
func (s *Store) DisableExcessive(ctx context.Context, at time.Time, by string, ids []string) (disabled []rule.Rule, err error) {
	var found []decision.Excesses
	bound, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.ruleExcesses.Find(bound, bson.D{field("_id", bson.D{field("$in", ids)})})
	if err == nil {
		err = cur.All(bound, &found)
	}
	if err != nil {
		return nil, classify("read what rules exceeded", err)
	}
	for _, x := range found {
		if !x.TooMany() {
			continue
		}
		r, done, err := s.disable(ctx, at, by, x)
		if err != nil {
			return disabled, err
		}
		if done {
			disabled = append(disabled, r)
		}
	}
	return disabled, nil
}

// errChanged: the rule is not what it was any more.
var errChanged = errors.New("the rule has changed")

func (s *Store) disable(ctx context.Context, at time.Time, by string, x decision.Excesses) (was rule.Rule, done bool, err error) {
	// Looked at first: once the rule is disabled, every further batch would raise
	// the rules' stamp only to find that out.
	if now, err := s.Rule(ctx, x.RuleID); errors.Is(err, ErrNotFound) || err == nil && (now.Version != x.RuleVersion || !now.Enabled) {
		return was, false, nil
	}
	err = s.changeRules(ctx, "disable rule "+x.RuleID, func(sc mongo.SessionContext, stamp int64) error {
		was = rule.Rule{}
		err := s.rules.FindOne(sc, bson.D{field("_id", x.RuleID), field("version", x.RuleVersion), field("enabled", true)}).Decode(&was)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return errChanged
		}
		if err != nil {
			return err
		}
		next := was
		next.Version, next.Enabled, next.UpdatedAt, next.CreatedBy = was.Version+1, false, at, by
		if _, err := s.rules.ReplaceOne(sc, bson.D{field("_id", was.ID), field("version", was.Version)}, next); err != nil {
			return err
		}
		if err := s.noteVersion(sc, RuleVersion{}.of(next, stamp), ruleDisabled); err != nil {
			return err
		}
		return s.announce(sc, []decision.Announcement{decision.Disable(was, x, at)})
	})
	if errors.Is(err, errChanged) || errors.Is(err, ErrConflict) {
		return was, false, nil
	}
	return was, err == nil, err
}
