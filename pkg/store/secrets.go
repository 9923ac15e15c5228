package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/fault"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/rule"
)

// Renew says how the configuration of an action of this type should be stored,
// and whether that is another way than it is.
type Renew func(kind string, config bson.Raw) (renewed bson.Raw, changed bool)

// renewChunk is how many documents are read, and then written, at a time.
const renewChunk = 200

// Renewed is what going through a collection came to: how many documents should
// be stored in another way, and how many of them are now. Somebody else has
// written the others since they were read; to look again tells what became of them.
type Renewed struct{ Found, Changed int }

// RenewRules stores the configurations of all rules' actions as renew says. A
// rule's version stays: its secrets are the same. The rules' stamp rises, so that
// rule-workers read them again. A rule that somebody saves meanwhile, or encrypts
// anew with another key, is left to them.
func (s *Store) RenewRules(ctx context.Context, renew Renew, dry bool) (n Renewed, err error) {
	for after := ""; ; {
		page, err := s.Rules(ctx, after, renewChunk)
		if err != nil || len(page) == 0 {
			return n, err
		}
		after = page[len(page)-1].ID
		var models []mongo.WriteModel
		for _, r := range page {
			if was, set := renewActions("actions", r.Actions, renew); len(set) > 0 {
				models = append(models, renewal(was, set, field("_id", r.ID), field("version", r.Version)))
			}
		}
		n.Found += len(models)
		if len(models) == 0 || dry {
			continue
		}
		fault.At(fault.SecretsRenewing)
		var written *mongo.BulkWriteResult
		err = s.changeRulesWithin(ctx, saveTime, "encrypt rules anew", func(sc mongo.SessionContext, _ int64) (err error) {
			written, err = s.rules.BulkWrite(sc, models, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil {
			return n, err
		}
		n.Changed += int(written.MatchedCount)
	}
}

// renewal sets values in the document with that key where others are as they were
// read: what another key has encrypted meanwhile must not be written over.
func renewal(was, set bson.D, key ...bson.E) mongo.WriteModel {
	return mongo.NewUpdateOneModel().SetFilter(append(key, was...)).SetUpdate(bson.D{field("$set", set)})
}

// renewActions renews the configurations of actions, which are at path: set are
// those that differ, by their fields, and was says how they were read.
func renewActions(path string, actions []rule.ActionSpec, renew Renew) (was, set bson.D) {
	for i, a := range actions {
		was, set = renewConfig(fmt.Sprintf("%s.%d.config", path, i), a.Type, a.Config, renew, was, set)
	}
	return was, set
}

func renewConfig(path, kind string, config bson.Raw, renew Renew, was, set bson.D) (_, _ bson.D) {
	renewed, differs := renew(kind, config)
	if !differs {
		return was, set
	}
	return append(was, field(path, bson.D{field("$eq", config)})), append(set, field(path, renewed))
}

// RenewRuleVersions is RenewRules for the versions, which are immutable but for
// this: what they say stays the same.
func (s *Store) RenewRuleVersions(ctx context.Context, renew Renew, dry bool) (Renewed, error) {
	return renewAll(ctx, s, s.ruleVersions, everyDocument, bson.D{field("rule.actions", 1)}, dry, func(v RuleVersion) (id string, was, set bson.D) {
		was, set = renewActions("rule.actions", v.Rule.Actions, renew)
		return v.ID, was, set
	})
}

// RenewNotifications is RenewRules for the notifications that were created since.
func (s *Store) RenewNotifications(ctx context.Context, since time.Time, renew Renew, dry bool) (Renewed, error) {
	filter := everyDocument
	if !since.IsZero() {
		filter = bson.D{field("created_at", bson.D{field("$gte", since)})}
	}
	return renewAll(ctx, s, s.notifications, filter, bson.D{field("action", 1)}, dry, func(n notification.Notification) (id string, was, set bson.D) {
		was, set = renewConfig("action.config", n.Action.Type, n.Action.Config, renew, nil, nil)
		return n.ID, was, set
	})
}

// everyDocument goes by the ids, which are texts.
var everyDocument = bson.D{field("_id", bson.D{field("$gt", "")})}

// renewAll goes through a collection and sets in each document what change says,
// where it is still as it was read; one that cannot be read is left out.
func renewAll[T any](ctx context.Context, s *Store, c *mongo.Collection, filter, fields bson.D, dry bool, change func(T) (id string, was, set bson.D)) (n Renewed, err error) {
	doing := "encrypt " + c.Name() + " anew"
	cur, err := c.Find(ctx, filter, options.Find().SetProjection(fields).SetBatchSize(renewChunk))
	if err != nil {
		return n, classify(doing, err)
	}
	defer cur.Close(ctx)
	var models []mongo.WriteModel
	write := func() error {
		n.Found += len(models)
		if len(models) == 0 || dry {
			models = models[:0]
			return nil
		}
		fault.At(fault.SecretsRenewing)
		bound, cancel := bounded(ctx)
		defer cancel()
		written, err := c.BulkWrite(bound, models, options.BulkWrite().SetOrdered(false))
		models = models[:0]
		if err == nil {
			n.Changed += int(written.MatchedCount)
		}
		return err
	}
	for cur.Next(ctx) {
		var doc T
		if err := cur.Decode(&doc); err != nil {
			s.leftOut(c, cur.Current.Lookup("_id"), err)
			continue
		}
		id, was, set := change(doc)
		if len(set) == 0 {
			continue
		}
		models = append(models, renewal(was, set, field("_id", id)))
		if len(models) == renewChunk {
			if err := write(); err != nil {
				return n, classify(doing, err)
			}
		}
	}
	if err = cur.Err(); err == nil {
		err = write()
	}
	return n, classify(doing, err)
}

// secretsRotated is what the audit says about it.
const secretsRotated = "secrets.rotate"

// NoteRotation puts into the audit that stored secrets were encrypted anew.
func (s *Store) NoteRotation(ctx context.Context, at time.Time, by string, detail bson.D) error {
	return classify("note in the audit", s.transaction(ctx, func(sc mongo.SessionContext) error {
		return s.noteAudit(sc, Audit{At: at, By: by, Action: secretsRotated, Detail: detail})
	}))
}
