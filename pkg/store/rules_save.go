package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// fewRules is up to how many rules are looked up one by one. For more, all are
// read: some servers compare each document with each value of a long list, which
// took a minute for 3,000 names.
const fewRules = 100

// RulesBy lists the rules that have one of the ids or one of the names.
func (s *Store) RulesBy(ctx context.Context, ids, names []string) ([]rule.Rule, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if len(ids)+len(names) > fewRules {
		found, err := s.rulesAmong(ctx, ids, names)
		return found, classify("list rules by id and name", err)
	}
	var found []rule.Rule
	for _, by := range []struct {
		path   string
		values []string
	}{{"_id", ids}, {"name", names}} {
		if len(by.values) == 0 {
			continue
		}
		cur, err := s.rules.Find(ctx, bson.D{field(by.path, bson.D{field("$in", by.values)})})
		some, err := readable[rule.Rule](ctx, cur, err, s.leavesOut(s.rules))
		if err != nil {
			return nil, classify("list rules by "+by.path, err)
		}
		found = append(found, some...)
	}
	return found, nil
}

// rulesAmong reads all rules and keeps those that are asked for.
func (s *Store) rulesAmong(ctx context.Context, ids, names []string) ([]rule.Rule, error) {
	wanted := make(map[string]bool, len(ids)+len(names))
	for _, id := range ids {
		wanted["_id "+id] = true
	}
	for _, name := range names {
		wanted["name "+name] = true
	}
	cur, err := s.rules.Find(ctx, bson.D{}, options.Find().SetSort(keys("_id", 1)))
	if err != nil {
		return nil, err
	}
	defer cur.Close(ctx)
	var found []rule.Rule
	for cur.Next(ctx) {
		id, _ := cur.Current.Lookup("_id").StringValueOK()
		name, _ := cur.Current.Lookup("name").StringValueOK()
		if !wanted["_id "+id] && !wanted["name "+name] {
			continue
		}
		var r rule.Rule
		if err := cur.Decode(&r); err != nil {
			s.leftOut(s.rules, cur.Current.Lookup("_id"), err)
			continue
		}
		found = append(found, r)
	}
	return found, cur.Err()
}

// saveTime bounds the transaction of an import: 10,000 rules take seconds, and
// no server lets a transaction live for longer than a minute.
const saveTime = 55 * time.Second

// SaveRules stores many rules in one transaction, all or none: new ones without
// a version, changed ones with the version that they replace. ErrConflict when
// one of these changed meanwhile, or an id or name is taken.
func (s *Store) SaveRules(ctx context.Context, at time.Time, by string, created, changed []rule.Rule) error {
	if len(created)+len(changed) == 0 {
		return nil
	}
	// That new rules have no former version is found out by trying: looking
	// each up would take longer than all the rest.
	err := s.saveRules(ctx, at, by, created, changed, false)
	if errors.Is(err, ErrConflict) && len(created) > 0 {
		err = s.saveRules(ctx, at, by, created, changed, true)
	}
	return err
}

func (s *Store) saveRules(ctx context.Context, at time.Time, by string, created, changed []rule.Rule, lookUp bool) error {
	return s.changeRulesWithin(ctx, saveTime, fmt.Sprintf("save %d rules", len(created)+len(changed)), func(sc mongo.SessionContext, stamp int64) error {
		versions := make([]RuleVersion, 0, len(created)+len(changed))
		if err := s.insertRules(sc, stamp, created, lookUp, &versions); err != nil {
			return err
		}
		if err := s.replaceRules(sc, stamp, changed, &versions); err != nil {
			return err
		}
		return s.noteVersions(sc, versions, at, by)
	})
}

// noteVersions stores the versions of an import, each with its entry in the audit:
// who asks what became of one rule finds it whatever way it was saved.
func (s *Store) noteVersions(sc mongo.SessionContext, versions []RuleVersion, at time.Time, by string) error {
	docs, notes := make([]any, len(versions)), make([]any, len(versions))
	for i, v := range versions {
		docs[i] = v
		notes[i] = Audit{At: at, By: by, Action: rulesImported, Subject: v.RuleID, Detail: v.noted()}.of(sc)
	}
	if _, err := s.ruleVersions.InsertMany(sc, docs); err != nil {
		return err
	}
	_, err := s.audit.InsertMany(sc, notes)
	return err
}

func (s *Store) insertRules(sc mongo.SessionContext, stamp int64, rules []rule.Rule, lookUp bool, versions *[]RuleVersion) error {
	if len(rules) == 0 {
		return nil
	}
	last := map[string]int{}
	for _, r := range rules {
		if !lookUp {
			break
		}
		var err error
		if last[r.ID], err = s.lastVersion(sc, r.ID); err != nil {
			return err
		}
	}
	docs := make([]any, len(rules))
	for i, r := range rules {
		r.Version = last[r.ID] + 1
		docs[i] = r
		*versions = append(*versions, RuleVersion{}.of(r, stamp))
	}
	_, err := s.rules.InsertMany(sc, docs)
	return err
}

func (s *Store) replaceRules(sc mongo.SessionContext, stamp int64, rules []rule.Rule, versions *[]RuleVersion) error {
	if len(rules) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(rules))
	for i, r := range rules {
		filter := bson.D{field("_id", r.ID), field("version", r.Version)}
		r.Version++
		models[i] = mongo.NewReplaceOneModel().SetFilter(filter).SetReplacement(r)
		*versions = append(*versions, RuleVersion{}.of(r, stamp))
	}
	result, err := s.rules.BulkWrite(sc, models, options.BulkWrite().SetOrdered(true))
	if err != nil {
		return err
	}
	if int(result.MatchedCount) != len(rules) {
		return fmt.Errorf("%d of %d rules changed or went meanwhile: %w", len(rules)-int(result.MatchedCount), len(rules), ErrConflict)
	}
	return nil
}
