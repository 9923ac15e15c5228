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

// RuleVersion is a document of `rule_versions`: one version, immutable.
type RuleVersion struct {
	ID           string    `bson:"_id"` // "<rule_id>:<version>"
	RuleID       string    `bson:"rule_id"`
	Version      int       `bson:"version"`
	Stamp        int64     `bson:"stamp,omitempty"` // of all rules, from this version on
	Rule         rule.Rule `bson:"rule"`
	Deleted      bool      `bson:"deleted,omitempty"`        // the rule was deleted after the version before
	RolledBackTo int       `bson:"rolled_back_to,omitempty"` // the version whose content this is again
	CreatedAt    time.Time `bson:"created_at"`
	CreatedBy    string    `bson:"created_by"`
}

// of fills in what the rule says.
func (v RuleVersion) of(r rule.Rule, stamp int64) RuleVersion {
	v.ID, v.RuleID, v.Version, v.Stamp = fmt.Sprintf("%s:%d", r.ID, r.Version), r.ID, r.Version, stamp
	v.Rule, v.CreatedAt, v.CreatedBy = r, r.UpdatedAt, r.CreatedBy
	return v
}

// What the audit says about rules.
const (
	ruleCreated    = "rule.create"
	ruleReplaced   = "rule.replace"
	ruleRolledBack = "rule.rollback"
	ruleDeleted    = "rule.delete"
	rulesImported  = "rule.import"
)

func (s *Store) noteVersion(sc mongo.SessionContext, v RuleVersion, action string) error {
	if _, err := s.ruleVersions.InsertOne(sc, v); err != nil {
		return err
	}
	return s.noteAudit(sc, Audit{At: v.CreatedAt, By: v.CreatedBy, Action: action, Subject: v.RuleID, Detail: v.noted()})
}

// noted is what the audit says of the version, which has the rest.
func (v RuleVersion) noted() bson.D {
	note := bson.D{field("name", v.Rule.Name), field("version", v.Version)}
	if v.RolledBackTo > 0 {
		note = append(note, field("rolled_back_to", v.RolledBackTo))
	}
	return note
}

// RuleVersions lists a rule's versions before the given one (0: all), newest
// first.
func (s *Store) RuleVersions(ctx context.Context, id string, before, limit int) ([]RuleVersion, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	filter := bson.D{field("rule_id", id)}
	if before > 0 {
		filter = append(filter, field("version", bson.D{field("$lt", before)}))
	}
	cur, err := s.ruleVersions.Find(ctx, filter, options.Find().SetSort(keys("rule_id", 1, "version", -1)).SetLimit(int64(limit)))
	var versions []RuleVersion
	if err == nil {
		err = cur.All(ctx, &versions)
	}
	return versions, classify("list versions of rule "+id, err)
}

// RuleVersionsOf reads the versions of these ids ("<rule_id>:<version>") that there
// are.
func (s *Store) RuleVersionsOf(ctx context.Context, ids []string) ([]RuleVersion, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.ruleVersions.Find(ctx, bson.D{field("_id", bson.D{field("$in", ids)})})
	found, err := readable[RuleVersion](ctx, cur, err, s.leavesOut(s.ruleVersions))
	return found, classify("list versions of rules", err)
}

// RuleVersion reads one version of a rule.
func (s *Store) RuleVersion(ctx context.Context, id string, version int) (RuleVersion, error) {
	return s.oneVersion(ctx, fmt.Sprintf("read version %d of rule %s", version, id),
		bson.D{field("rule_id", id), field("version", version)})
}

// RuleVersionByStamp reads the version that was in force in a set of rules of
// that stamp, ErrNotFound when there was none yet. A version without a stamp is
// older than stamps.
func (s *Store) RuleVersionByStamp(ctx context.Context, id string, stamp int64) (RuleVersion, error) {
	return s.oneVersion(ctx, "read the version of rule "+id+" that was in force",
		bson.D{field("rule_id", id), field("stamp", bson.D{field("$not", bson.D{field("$gt", stamp)})})})
}

// RuleVersionAt reads the version that was saved last at that time, ErrNotFound
// when there was none.
func (s *Store) RuleVersionAt(ctx context.Context, id string, at time.Time) (RuleVersion, error) {
	return s.oneVersion(ctx, "read the version of rule "+id+" at a time",
		bson.D{field("rule_id", id), field("created_at", bson.D{field("$lte", at)})})
}

// oneVersion is the newest that the filter selects.
func (s *Store) oneVersion(ctx context.Context, doing string, filter bson.D) (RuleVersion, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var v RuleVersion
	err := decode(s.ruleVersions.FindOne(ctx, filter, options.FindOne().SetSort(keys("rule_id", 1, "version", -1))), &v, doing)
	return v, err
}

// lastVersion is the newest version of a rule, 0 for what never was.
func (s *Store) lastVersion(sc mongo.SessionContext, id string) (int, error) {
	var v RuleVersion
	err := s.ruleVersions.FindOne(sc, bson.D{field("rule_id", id)},
		options.FindOne().SetSort(keys("rule_id", 1, "version", -1)).SetProjection(keys("_id", 0, "version", 1))).Decode(&v)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	return v.Version, err
}
