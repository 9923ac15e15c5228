package store

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.uber.org/zap"
)

// EnsureIndexes creates what the table names and the database lacks; running
// it in several processes at once is harmless. A server without text indexes
// is used without one, and said so.
func (s *Store) EnsureIndexes(ctx context.Context) error {
	if err := s.noteServer(ctx); err != nil {
		return err
	}
	byCollection := map[string][]Index{}
	var order []string
	for _, ix := range Indexes {
		if byCollection[ix.Collection] == nil {
			order = append(order, ix.Collection)
		}
		byCollection[ix.Collection] = append(byCollection[ix.Collection], ix)
	}
	for _, collection := range order {
		if err := s.ensure(ctx, collection, byCollection[collection]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) ensure(ctx context.Context, collection string, table []Index) error {
	have, err := s.indexKeys(ctx, collection)
	if err != nil {
		return err
	}
	if len(have) <= 1 { // a new collection, with no index or that of _id
		s.createTogether(ctx, collection, table)
		if have, err = s.indexKeys(ctx, collection); err != nil {
			return err
		}
	}
	for _, ix := range table {
		if have[ix.Name] != nil {
			s.noteText(ix)
			continue
		}
		if err := s.create(ctx, ix); err != nil {
			return err
		}
	}
	return nil
}

// createTogether creates a collection's indexes by one command, but for those that not
// every server has. What comes of it is looked at, and what is refused is asked for
// once more, and named, by itself.
func (s *Store) createTogether(ctx context.Context, collection string, table []Index) {
	ctx, cancel := context.WithTimeout(ctx, 10*operationTimeout)
	defer cancel()
	var models []mongo.IndexModel
	for _, ix := range table {
		if !ix.Optional {
			models = append(models, ix.model())
		}
	}
	_, _ = s.db.Collection(collection).Indexes().CreateMany(ctx, models)
}

func (s *Store) create(ctx context.Context, ix Index) error {
	ctx, cancel := context.WithTimeout(ctx, 10*operationTimeout) // a large collection takes minutes
	defer cancel()
	_, err := s.db.Collection(ix.Collection).Indexes().CreateOne(ctx, ix.model())
	switch {
	case err == nil:
		s.noteText(ix)
		return nil
	case isIndexRace(err):
		have, listErr := s.indexKeys(ctx, ix.Collection)
		if listErr != nil {
			return listErr
		}
		if have[ix.Name] == nil { // queries ask for it by its name
			return fmt.Errorf("create index %s.%s: an index of the same keys has another name or options; drop that one: %w", ix.Collection, ix.Name, err)
		}
		s.noteText(ix)
		return nil
	case ix.Optional && isUnsupported(err):
		s.log.Info("index kind not available on this server, used without it",
			zap.String("collection", ix.Collection), zap.String("index", ix.Name), zap.String("serves", ix.Serves))
		return nil
	default:
		return classify(fmt.Sprintf("create index %s.%s", ix.Collection, ix.Name), err)
	}
}

func (ix Index) model() mongo.IndexModel {
	o := options.Index().SetName(ix.Name)
	if ix.Unique {
		o.SetUnique(true)
	}
	if ix.TTL {
		o.SetExpireAfterSeconds(0)
	}
	if ix.Partial != nil {
		o.SetPartialFilterExpression(ix.Partial)
	}
	if ix.isText() {
		o.SetDefaultLanguage("none")
	}
	return mongo.IndexModel{Keys: ix.Keys, Options: o}
}

// isText says whether it is a text index. Its language is none: what events say is
// codes and names, where a stem or a word that is left out as too common makes
// searches wrong.
func (ix Index) isText() bool { return ix.Keys[0].Value == "text" }

func (s *Store) noteText(ix Index) {
	if ix.isText() {
		s.hasText.Store(true)
	}
}
