package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/replay"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// rulesStampID is the one document of `stamps`. It is raised in every
// transaction that changes rules, so that workers notice any change, deletions
// included, by reading one document.
const rulesStampID = "rules"

type rulesStamp struct {
	Stamp int64 `bson:"stamp"`
}

// EnabledRules lists what the rule-workers match, first priority first, and
// beside it the rules that nobody can match with, since they cannot be read.
func (s *Store) EnabledRules(ctx context.Context) (found []rule.Rule, unreadable []rule.RuleError, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.rules.Find(ctx, bson.D{field("enabled", true)}, options.Find().SetSort(keys("priority", 1, "_id", 1)))
	found, err = readable[rule.Rule](ctx, cur, err, func(id bson.RawValue, doc bson.Raw, err error) {
		s.leftOut(s.rules, id, err)
		name, _ := doc.Lookup("name").StringValueOK()
		unreadable = append(unreadable, rule.RuleError{ID: idText(id), Name: strings.Clone(name), Err: err})
	})
	return found, unreadable, classify("list enabled rules", err)
}

// WindowRules are the enabled rules that have windows, by priority.
func (s *Store) WindowRules(ctx context.Context) ([]replay.NamedRule, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.rules.Find(ctx, bson.D{field("enabled", true), field("window", bson.D{field("$exists", true)})},
		options.Find().SetSort(keys("priority", 1, "_id", 1)).SetProjection(bson.D{field("name", 1)}))
	found, err := readable[replay.NamedRule](ctx, cur, err, s.leavesOut(s.rules))
	return found, classify("list rules with windows", err)
}

// Rules lists all rules by id, after the given id. One that cannot be read is left
// out and its page filled up, so that a short page is the last one.
func (s *Store) Rules(ctx context.Context, after string, limit int) (found []rule.Rule, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err = page[rule.Rule](ctx, s, s.rules, bson.D{field("_id", bson.D{field("$gt", after)})}, options.Find().SetSort(keys("_id", 1)), limit)
	return found, classify("list rules", err)
}

// Rule reads one by its id.
func (s *Store) Rule(ctx context.Context, id string) (rule.Rule, error) {
	return s.oneRule(ctx, bson.D{field("_id", id)}, "read rule "+id)
}

// RuleByName reads one by its name.
func (s *Store) RuleByName(ctx context.Context, name string) (rule.Rule, error) {
	return s.oneRule(ctx, bson.D{field("name", name)}, "read rule "+name)
}

func (s *Store) oneRule(ctx context.Context, filter bson.D, doing string) (rule.Rule, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var r rule.Rule
	err := decode(s.rules.FindOne(ctx, filter), &r, doing)
	return r, err
}

// decode reads one document. One that does not fit, since somebody else wrote
// it, is no outage: it will not fit later either.
func decode(found *mongo.SingleResult, into any, doing string) error {
	return classify(doing, read(found, into))
}

// read is decode with the driver's own errors, as transactions need them.
func read(found *mongo.SingleResult, into any) error {
	raw, err := found.Raw()
	if err != nil {
		return err
	}
	if err := bson.Unmarshal(raw, into); err != nil {
		return &Unreadable{err}
	}
	return nil
}

// RulesStamp is a number that rises with every change of any rule: a reader
// that has seen it knows whether its rules are current, by one small read.
func (s *Store) RulesStamp(ctx context.Context) (int64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var stamp rulesStamp
	err := s.stamps.FindOne(ctx, bson.D{field("_id", rulesStampID)}).Decode(&stamp)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	return stamp.Stamp, classify("read the rules' stamp", err)
}

// CreateRule stores a rule as version 1 (or the version after its deletion).
// ErrConflict when the id or the name is taken.
func (s *Store) CreateRule(ctx context.Context, r rule.Rule) (rule.Rule, error) {
	return s.createRule(ctx, r, RuleVersion{}, ruleCreated)
}

func (s *Store) createRule(ctx context.Context, r rule.Rule, about RuleVersion, action string) (rule.Rule, error) {
	err := s.changeRules(ctx, "create rule "+r.Name, func(sc mongo.SessionContext, stamp int64) error {
		last, err := s.lastVersion(sc, r.ID)
		if err != nil {
			return err
		}
		r.Version = last + 1
		if _, err := s.rules.InsertOne(sc, r); err != nil {
			return err
		}
		return s.noteVersion(sc, about.of(r, stamp), action)
	})
	return r, err
}

// ReplaceRule stores the next version of a rule whose version is still the
// expected one; ErrConflict when it is not (a lost update) or the name is
// taken, ErrNotFound when the rule is gone.
func (s *Store) ReplaceRule(ctx context.Context, r rule.Rule, expected int) (rule.Rule, error) {
	return s.replaceRule(ctx, r, expected, RuleVersion{}, ruleReplaced)
}

func (s *Store) replaceRule(ctx context.Context, r rule.Rule, expected int, about RuleVersion, action string) (rule.Rule, error) {
	r.Version = expected + 1
	err := s.changeRules(ctx, "replace rule "+r.ID, func(sc mongo.SessionContext, stamp int64) error {
		result, err := s.rules.ReplaceOne(sc, bson.D{field("_id", r.ID), field("version", expected)}, r)
		if err != nil {
			return err
		}
		if result.MatchedCount == 0 {
			return s.whyUnmatched(sc, r.ID, expected)
		}
		return s.noteVersion(sc, about.of(r, stamp), action)
	})
	return r, err
}

// RollBackRule stores the content of an old version as the next one. The rule
// must still have the expected version; 0 brings a deleted rule back.
func (s *Store) RollBackRule(ctx context.Context, r rule.Rule, to, expected int) (rule.Rule, error) {
	about := RuleVersion{RolledBackTo: to}
	if expected == 0 {
		return s.createRule(ctx, r, about, ruleRolledBack)
	}
	return s.replaceRule(ctx, r, expected, about, ruleRolledBack)
}

// DeleteRule removes a rule; its versions stay, with one that says deleted.
// expected 0 deletes whatever version there is.
func (s *Store) DeleteRule(ctx context.Context, id string, expected int, at time.Time, by string) error {
	return s.changeRules(ctx, "delete rule "+id, func(sc mongo.SessionContext, stamp int64) error {
		filter := bson.D{field("_id", id)}
		if expected > 0 {
			filter = append(filter, field("version", expected))
		}
		var old rule.Rule
		err := s.rules.FindOneAndDelete(sc, filter).Decode(&old)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return s.whyUnmatched(sc, id, expected)
		}
		if err != nil {
			return err
		}
		old.Version, old.UpdatedAt, old.CreatedBy = old.Version+1, at, by
		return s.noteVersion(sc, RuleVersion{Deleted: true}.of(old, stamp), ruleDeleted)
	})
}

// changeRules runs a change with the stamp raised in the same transaction. A
// commit in doubt is resolved by the unique version: the repeat of a change
// that took place fails on it, as a conflict.
func (s *Store) changeRules(ctx context.Context, doing string, change func(sc mongo.SessionContext, stamp int64) error) error {
	return s.changeRulesWithin(ctx, operationTimeout, doing, change)
}

func (s *Store) changeRulesWithin(ctx context.Context, limit time.Duration, doing string, change func(sc mongo.SessionContext, stamp int64) error) error {
	err := s.transactionWithin(ctx, limit, func(sc mongo.SessionContext) error {
		var now rulesStamp
		err := s.stamps.FindOneAndUpdate(sc, bson.D{field("_id", rulesStampID)}, bson.D{field("$inc", bson.D{field("stamp", int64(1))})},
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&now)
		if err != nil {
			return err
		}
		return change(sc, now.Stamp)
	})
	if isDuplicateKey(err) && !isTransient(err) {
		return fmt.Errorf("%s: id, name or version is taken: %w", doing, ErrConflict)
	}
	return classify(doing, err)
}

// whyUnmatched tells a rule that is gone from one that changed.
func (s *Store) whyUnmatched(sc mongo.SessionContext, id string, expected int) error {
	var now rule.Rule
	err := s.rules.FindOne(sc, bson.D{field("_id", id)}).Decode(&now)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("rule %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("rule %s is at version %d, not %d: %w", id, now.Version, expected, ErrConflict)
}
