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

// RenewRules stores the configurations of all rules' actions as renew says, and
// returns how many rules it changed. A rule's version stays: its secrets are the
// same. The rules' stamp rises, so that rule-workers read them again. A rule that
// somebody saves meanwhile, or encrypts anew with another key, is left to them.
func (s *Store) RenewRules(ctx context.Context, renew Renew, dry bool) (changed int, err error) {
	for after := ""; ; {
		page, err := s.Rules(ctx, after, renewChunk)
		if err != nil || len(page) == 0 {
			return changed, err
		}
		after = page[len(page)-1].ID
		var models []mongo.WriteModel
		for _, r := range page {
			if actions, was := renewActions("actions", r.Actions, renew); len(was) > 0 {
				models = append(models, mongo.NewUpdateOneModel().SetFilter(append(was, field("_id", r.ID), field("version", r.Version))).
					SetUpdate(bson.D{field("$set", bson.D{field("actions", actions)})}))
			}
		}
		if len(models) == 0 || dry {
			changed += len(models)
			continue
		}
		var written *mongo.BulkWriteResult
		err = s.changeRulesWithin(ctx, saveTime, "encrypt rules anew", func(sc mongo.SessionContext, _ int64) (err error) {
			written, err = s.rules.BulkWrite(sc, models, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil {
			return changed, err
		}
		changed += int(written.MatchedCount)
		fault.At(fault.SecretsRenewing)
	}
}

// renewActions renews the configurations of actions, which are at path; was says
// that those which differ are stored as they were read, and is empty when none does.
// What another key has encrypted meanwhile must not be written over.
func renewActions(path string, actions []rule.ActionSpec, renew Renew) (renewed []rule.ActionSpec, was bson.D) {
	renewed = make([]rule.ActionSpec, len(actions))
	for i, a := range actions {
		config, differs := renew(a.Type, a.Config)
		if differs {
			was = append(was, field(fmt.Sprintf("%s.%d.config", path, i), bson.D{field("$eq", a.Config)}))
		}
		a.Config = config
		renewed[i] = a
	}
	return renewed, was
}

// RenewRuleVersions is RenewRules for the versions, which are immutable but for
// this: what they say stays the same.
func (s *Store) RenewRuleVersions(ctx context.Context, renew Renew, dry bool) (changed int, err error) {
	return renewAll(ctx, s, s.ruleVersions, everyDocument, bson.D{field("rule.actions", 1)}, dry, func(v RuleVersion) (id string, was, set bson.D) {
		actions, was := renewActions("rule.actions", v.Rule.Actions, renew)
		return v.ID, was, bson.D{field("rule.actions", actions)}
	})
}

// RenewNotifications is RenewRules for the notifications that were created since.
func (s *Store) RenewNotifications(ctx context.Context, since time.Time, renew Renew, dry bool) (changed int, err error) {
	filter := everyDocument
	if !since.IsZero() {
		filter = bson.D{field("created_at", bson.D{field("$gte", since)})}
	}
	return renewAll(ctx, s, s.notifications, filter, bson.D{field("action", 1)}, dry, func(n notification.Notification) (id string, was, set bson.D) {
		config, differs := renew(n.Action.Type, n.Action.Config)
		if differs {
			was = bson.D{field("action.config", bson.D{field("$eq", n.Action.Config)})}
		}
		return n.ID, was, bson.D{field("action.config", config)}
	})
}

// everyDocument goes by the ids, which are texts.
var everyDocument = bson.D{field("_id", bson.D{field("$gt", "")})}

// renewAll goes through a collection and sets in each document what change says,
// where it is still as it was read (was, empty for nothing to set); one that cannot
// be read is left out.
func renewAll[T any](ctx context.Context, s *Store, c *mongo.Collection, filter, fields bson.D, dry bool, change func(T) (id string, was, set bson.D)) (changed int, err error) {
	doing := "encrypt " + c.Name() + " anew"
	cur, err := c.Find(ctx, filter, options.Find().SetProjection(fields).SetBatchSize(renewChunk))
	if err != nil {
		return 0, classify(doing, err)
	}
	defer cur.Close(ctx)
	var models []mongo.WriteModel
	write := func() error {
		n := len(models)
		if n > 0 && !dry {
			bound, cancel := bounded(ctx)
			defer cancel()
			written, err := c.BulkWrite(bound, models, options.BulkWrite().SetOrdered(false))
			if err != nil {
				return err
			}
			n = int(written.MatchedCount)
			fault.At(fault.SecretsRenewing)
		}
		changed += n
		models = models[:0]
		return nil
	}
	for cur.Next(ctx) {
		var doc T
		if err := cur.Decode(&doc); err != nil {
			s.leftOut(c, cur.Current.Lookup("_id"), err)
			continue
		}
		id, was, set := change(doc)
		if len(was) == 0 {
			continue
		}
		models = append(models, mongo.NewUpdateOneModel().SetFilter(append(was, field("_id", id))).SetUpdate(bson.D{field("$set", set)}))
		if len(models) == renewChunk {
			if err := write(); err != nil {
				return changed, classify(doing, err)
			}
		}
	}
	if err = cur.Err(); err == nil {
		err = write()
	}
	return changed, classify(doing, err)
}

// secretsRotated is what the audit says about it.
const secretsRotated = "secrets.rotate"

// NoteRotation puts into the audit that stored secrets were encrypted anew.
func (s *Store) NoteRotation(ctx context.Context, at time.Time, by string, detail bson.D) error {
	return classify("note in the audit", s.transaction(ctx, func(sc mongo.SessionContext) error {
		return s.noteAudit(sc, Audit{At: at, By: by, Action: secretsRotated, Detail: detail})
	}))
}
