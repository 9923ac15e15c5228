package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"

	"github.com/events-aggregator/events-aggregator/pkg/letter"
)

// What the audit says about templates.
const (
	templateSaved   = "template.save"
	templateDeleted = "template.delete"
)

// SaveTemplate stores a template as its next version. expected is the version
// that it replaces, 0 when there must be none; any other state is ErrConflict.
func (s *Store) SaveTemplate(ctx context.Context, t letter.Template, expected int, at time.Time, by string) (letter.Template, error) {
	t.Version, t.UpdatedAt, t.UpdatedBy = expected+1, at, by
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		var before bson.D
		if expected == 0 {
			t.CreatedAt = at
			if _, err := s.templates.InsertOne(sc, t); err != nil {
				return err
			}
		} else {
			var old letter.Template
			if err := s.templates.FindOne(sc, bson.D{field("_id", t.Name)}).Decode(&old); err != nil {
				return err
			}
			if old.Version != expected {
				return ErrConflict
			}
			t.CreatedAt, before = old.CreatedAt, shownDoc(old)
			if _, err := s.templates.ReplaceOne(sc, bson.D{field("_id", t.Name)}, t); err != nil {
				return err
			}
		}
		return s.noteAudit(sc, Audit{At: at, By: by, Action: templateSaved, Subject: t.Name, Before: before, After: shownDoc(t)})
	})
	if isDuplicateKey(err) && !isTransient(err) || errors.Is(err, ErrConflict) {
		return t, fmt.Errorf("template %s changed meanwhile, or exists: %w", t.Name, ErrConflict)
	}
	return t, classify("save template "+t.Name, err)
}

// SeedTemplates stores the templates that do not exist; what people made of
// those that do stays.
func (s *Store) SeedTemplates(ctx context.Context, at time.Time, seeds ...letter.Template) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for _, t := range seeds {
		t.Version, t.CreatedAt, t.UpdatedAt = 1, at, at
		doc, err := bson.Marshal(t)
		if err != nil {
			return fmt.Errorf("encode template %s: %w", t.Name, err)
		}
		_, err = s.templates.UpdateOne(ctx, bson.D{field("_id", t.Name)},
			bson.D{field("$setOnInsert", fieldsBut("_id", doc))}, options.Update().SetUpsert(true))
		if err != nil && !isDuplicateKey(err) {
			return classify("seed template "+t.Name, err)
		}
	}
	return nil
}

// Template reads one; ErrNotFound when there is none of the name.
func (s *Store) Template(ctx context.Context, name string) (letter.Template, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var t letter.Template
	err := s.templates.FindOne(ctx, bson.D{field("_id", name)}).Decode(&t)
	return t, classify("read template "+name, err)
}

// Templates lists them by name, after the given one.
func (s *Store) Templates(ctx context.Context, after string, limit int) ([]letter.Template, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.templates.Find(ctx, bson.D{field("_id", bson.D{field("$gt", after)})},
		options.Find().SetSort(keys("_id", 1)).SetLimit(int64(limit)))
	var found []letter.Template
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list templates", err)
}

// DeleteTemplate takes one away; ErrNotFound when there is none of the name.
// Whether rules still name it is the caller's to ask. match may be nil; an error of it, which sees
// the template as it is, is returned as it is.
func (s *Store) DeleteTemplate(ctx context.Context, name string, at time.Time, by string, match func(letter.Template) error) error {
	var refused error
	err := s.transaction(ctx, func(sc mongo.SessionContext) error {
		var old letter.Template
		if err := s.templates.FindOne(sc, bson.D{field("_id", name)}).Decode(&old); err != nil {
			return err
		}
		if refused = matches(match, old); refused != nil {
			return refused
		}
		if _, err := s.templates.DeleteOne(sc, bson.D{field("_id", name)}); err != nil {
			return err
		}
		return s.noteAudit(sc, Audit{At: at, By: by, Action: templateDeleted, Subject: name, Before: shownDoc(old)})
	})
	if refused != nil {
		return refused
	}
	return classify("delete template "+name, err)
}

// RulesWithTemplate names the rules (20 at most) whose actions name a template.
func (s *Store) RulesWithTemplate(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	cur, err := s.rules.Find(ctx, bson.D{field("actions.config.template", name)},
		options.Find().SetProjection(bson.D{field("name", 1)}).SetSort(keys("name", 1)).SetLimit(20))
	var found []struct {
		Name string `bson:"name"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	names := make([]string, len(found))
	for i, r := range found {
		names[i] = r.Name
	}
	return names, classify("look for rules with template "+name, err)
}
