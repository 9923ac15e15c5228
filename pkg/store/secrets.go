package store

import (
	"context"
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
// somebody saves meanwhile is left to whoever saved it.
func (s *Store) RenewRules(ctx context.Context, renew Renew, dry bool) (changed int, err error) {
	for after := ""; ; {
		page, err := s.Rules(ctx, after, renewChunk)
		if err != nil || len(page) == 0 {
			return changed, err
		}
		after = page[len(page)-1].ID
		var models []mongo.WriteModel
		for _, r := range page {
			if actions, ok := renewActions(r.Actions, renew); ok {
				models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{field("_id", r.ID), field("version", r.Version)}).
					SetUpdate(bson.D{field("$set", bson.D{field("actions", actions)})}))
			}
		}
		if changed += len(models); len(models) == 0 || dry {
			continue
		}
		err = s.changeRulesWithin(ctx, saveTime, "encrypt rules anew", func(sc mongo.SessionContext, _ int64) error {
			_, err := s.rules.BulkWrite(sc, models, options.BulkWrite().SetOrdered(false))
			return err
		})
		if err != nil {
			return changed, err
		}
		fault.At(fault.SecretsRenewing)
	}
}

func renewActions(actions []rule.ActionSpec, renew Renew) (renewed []rule.ActionSpec, changed bool) {
	renewed = make([]rule.ActionSpec, len(actions))
	for i, a := range actions {
		config, differs := renew(a.Type, a.Config)
		a.Config, changed = config, changed || differs
		renewed[i] = a
	}
	return renewed, changed
}

// RenewRuleVersions is RenewRules for the versions, which are immutable but for
// this: what they say stays the same.
func (s *Store) RenewRuleVersions(ctx context.Context, renew Renew, dry bool) (changed int, err error) {
	return renewAll(ctx, s, s.ruleVersions, everyDocument, bson.D{field("rule.actions", 1)}, dry, func(v RuleVersion) (string, bson.D, bool) {
		actions, ok := renewActions(v.Rule.Actions, renew)
		return v.ID, bson.D{field("rule.actions", actions)}, ok
	})
}

// RenewNotifications is RenewRules for the notifications that were created since.
func (s *Store) RenewNotifications(ctx context.Context, since time.Time, renew Renew, dry bool) (changed int, err error) {
	filter := everyDocument
	if !since.IsZero() {
		filter = bson.D{field("created_at", bson.D{field("$gte", since)})}
	}
	return renewAll(ctx, s, s.notifications, filter, bson.D{field("action", 1)}, dry, func(n notification.Notification) (string, bson.D, bool) {
		config, ok := renew(n.Action.Type, n.Action.Config)
		return n.ID, bson.D{field("action.config", config)}, ok
	})
}

// everyDocument goes by the ids, which are texts.
var everyDocument = bson.D{field("_id", bson.D{field("$gt", "")})}

// renewAll goes through a collection and sets in each document what change says;
// one that cannot be read is left out.
func renewAll[T any](ctx context.Context, s *Store, c *mongo.Collection, filter, fields bson.D, dry bool, change func(T) (id string, set bson.D, ok bool)) (changed int, err error) {
	doing := "encrypt " + c.Name() + " anew"
	cur, err := c.Find(ctx, filter, options.Find().SetProjection(fields).SetBatchSize(renewChunk))
	if err != nil {
		return 0, classify(doing, err)
	}
	defer cur.Close(ctx)
	var models []mongo.WriteModel
	write := func() error {
		if len(models) == 0 || dry {
			return nil
		}
		bound, cancel := bounded(ctx)
		defer cancel()
		_, err := c.BulkWrite(bound, models, options.BulkWrite().SetOrdered(false))
		models = models[:0]
		if err == nil {
			fault.At(fault.SecretsRenewing)
		}
		return err
	}
	for cur.Next(ctx) {
		var doc T
		if err := cur.Decode(&doc); err != nil {
			s.leftOut(c, cur.Current.Lookup("_id"), err)
			continue
		}
		id, set, ok := change(doc)
		if !ok {
			continue
		}
		changed++
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{field("_id", id)}).SetUpdate(bson.D{field("$set", set)}))
		if len(models) == renewChunk {
			if err := write(); err != nil {
				return changed, classify(doing, err)
			}
		}
	}
	if err := cur.Err(); err != nil {
		return changed, classify(doing, err)
	}
	return changed, classify(doing, write())
}

// secretsRotated is what the audit says about it.
const secretsRotated = "secrets.rotate"

// NoteRotation puts into the audit that stored secrets were encrypted anew.
func (s *Store) NoteRotation(ctx context.Context, at time.Time, by string, detail bson.D) error {
	return classify("note in the audit", s.transaction(ctx, func(sc mongo.SessionContext) error {
		return s.noteAudit(sc, Audit{At: at, By: by, Action: secretsRotated, Detail: detail})
	}))
}
