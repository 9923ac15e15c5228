package store

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/event"

	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// WithCommands lets specs see every command as it is sent.
func (o Options) WithCommands(started func(collection string, command bson.Raw)) Options {
	o.commands = &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		started(collectionOf(e), append(bson.Raw(nil), e.Command...))
	}}
	return o
}

// Explain asks the server for the plan of a command.
func (s *Store) Explain(ctx context.Context, command bson.D) (bson.Raw, error) {
	return s.db.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Raw()
}

// SpoilRule makes a rule and its versions something that nobody understands.
func (s *Store) SpoilRule(ctx context.Context, id string) error {
	_, err := s.rules.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("window", "spoilt")})})
	if err == nil {
		_, err = s.ruleVersions.UpdateMany(ctx, bson.D{field("rule_id", id)}, bson.D{field("$set", bson.D{field("rule.window", "spoilt")})})
	}
	return err
}

// SpoilDue makes a due slot something that nobody understands.
func (s *Store) SpoilDue(ctx context.Context, id string) error {
	_, err := s.windowDues.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("slot", "spoilt")})})
	return err
}

// SpoilGroups makes all groups of a rule something that nobody understands.
func (s *Store) SpoilGroups(ctx context.Context, ruleID string) error {
	_, err := s.groups.UpdateMany(ctx, bson.D{field("rule_id", ruleID)}, bson.D{field("$set", bson.D{field("matches", "spoilt")})})
	return err
}

// SpoilReplay makes a replay something that nobody understands.
func (s *Store) SpoilReplay(ctx context.Context, id string) error {
	_, err := s.replays.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("rules", "spoilt")})})
	return err
}

// SpoilNotifications makes notifications something that nobody understands.
func (s *Store) SpoilNotifications(ctx context.Context, ids ...string) error {
	_, err := s.notifications.UpdateMany(ctx, bson.D{field("_id", bson.D{field("$in", ids)})},
		bson.D{field("$set", bson.D{field("attempts", "spoilt"), field("action", "spoilt")})})
	return err
}

// SpoilMemories makes all throttles and all hours of rules something that nobody
// understands.
func (s *Store) SpoilMemories(ctx context.Context) error {
	_, err := s.throttles.UpdateMany(ctx, bson.D{}, bson.D{field("$set", bson.D{field("expires_at", "spoilt")})})
	if err == nil {
		_, err = s.ruleHours.UpdateMany(ctx, bson.D{}, bson.D{field("$set", bson.D{field("expires_at", "spoilt")})})
	}
	return err
}

// SetField gives a field of a document another value, or takes it away: nil.
func (s *Store) SetField(ctx context.Context, collection string, id any, path string, value any) error {
	update := bson.D{field("$set", bson.D{field(path, value)})}
	if value == nil {
		update = bson.D{field("$unset", bson.D{field(path, "")})}
	}
	_, err := s.db.Collection(collection).UpdateOne(ctx, bson.D{field("_id", id)}, update)
	return err
}

// SpoilUser makes a user something that nobody understands.
func (s *Store) SpoilUser(ctx context.Context, id string) error {
	_, err := s.users.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("created_at", "spoilt")})})
	return err
}

// SpoilSilence makes a silence something that nobody understands.
func (s *Store) SpoilSilence(ctx context.Context, id string) error {
	_, err := s.silences.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("rules", "spoilt")})})
	return err
}

// SetFewEvents says how many events may be read for each look-up of a rule.
func (s *Store) SetFewEvents(n int64) { s.few = n }

// SetHeavy says how many events are many for one evaluation of a window.
func (s *Store) SetHeavy(n int64) { s.heavy = n }

// SetConflictNotice is how long a transaction is tried again before the log says so.
func (s *Store) SetConflictNotice(after time.Duration) { s.notice = after }

// SetEventBounds says how much is told apart when events are added up.
func (s *Store) SetEventBounds(names, tally int) { s.namesMost, s.tallyMost = names, tally }

// Equalities are what events of all the keys are looked for by.
func Equalities(keys []string) bson.D { return conjunction(equalities(keys)) }

// Projection is what is read of the events that a query finds.
func (e *RuleEvents) Projection(q window.Query) bson.D { return e.projection(q) }

// InsertEvents stores events alone, as a server without transactions can.
func (s *Store) InsertEvents(ctx context.Context, events []bson.Raw) error {
	docs := make([]any, len(events))
	for i, e := range events {
		docs[i] = e
	}
	_, err := s.events.InsertMany(ctx, docs)
	return err
}

// MakeIndex makes one index of the table.
func (s *Store) MakeIndex(ctx context.Context, collection, name string) error {
	for _, ix := range Indexes {
		if ix.Collection == collection && ix.Name == name {
			return s.create(ctx, ix)
		}
	}
	return errors.New("there is no such index")
}

// SetSearchMode has searches find words in this way.
func (s *Store) SetSearchMode(m SearchMode) { s.hasText.Store(m == TextIndex) }
