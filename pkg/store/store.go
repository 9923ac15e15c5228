// Package store is everything that is kept in MongoDB: one file per
// collection with its document, its queries and its indexes. It is the only
// importer of the driver's `mongo` package. Every write is majority and
// journalled, and a read that decides something is a majority read.
package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/event"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readconcern"
	"go.mongodb.org/mongo-driver/mongo/readpref"
	"go.mongodb.org/mongo-driver/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/x/mongo/driver/connstring"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/metric"
)

const (
	// operationTimeout bounds one round trip. Generous, because a bulk of 500
	// documents with all indexes takes a second on a slow disk.
	operationTimeout = 30 * time.Second
	// selectionTimeout bounds the search for a server, so that an outage is
	// noticed (and said) within seconds instead of the driver's 30.
	selectionTimeout = 3 * time.Second
)

// Options says where the database is and who is told about its use.
type Options struct {
	URI      string
	Database string
	AppName  string
	MaxPool  uint64 // 0: the driver's 100
	Log      *zap.Logger
	// Observe hears of every finished command: collection ("" when the command
	// has none), command name, "ok" or "error". May be nil.
	Observe func(collection, op, outcome string)
	// Spoilt hears of every document that is left out because it cannot be read.
	// May be nil.
	Spoilt func(collection, id string)

	commands *event.CommandMonitor // specs look at the commands themselves
}

// Store is the product's database. Safe for concurrent use.
type Store struct {
	client *mongo.Client
	db     *mongo.Database
	log    *zap.Logger
	cutOff cutOff
	few    int64 // events that may be read for each look-up
	heavy  int64 // events that are many for one evaluation
	// namesMost and tallyMost bound what is told apart when events are added up.
	namesMost, tallyMost int
	notice               time.Duration // conflictNotice

	spoilt func(collection, id string)
	// hasText: the events have a text index, which not every server can make.
	hasText atomic.Bool
	// noted: what follows is known of the server.
	noted atomic.Bool
	// byHintReadsAll: the server reads a whole collection when a query names an
	// index.
	byHintReadsAll atomic.Bool
	// projectsSlowly: the server sends whole documents sooner than a part of them.
	projectsSlowly atomic.Bool
	// noGeoHint: the server fails when a query names a geo index.
	noGeoHint atomic.Bool

	events, batches, marks, rules, ruleVersions, notifications          *mongo.Collection
	counters, metricWindows, dimensions, metrics, metricSums            *mongo.Collection
	users, leases, deadLetters, stamps, audit, ruleWorkers, ingesters   *mongo.Collection
	windowDues                                                          *mongo.Collection
	throttles, ruleHours, groups, announcements, silences               *mongo.Collection
	ruleExcesses, templates, targets, replays, browserSessions, tickets *mongo.Collection
}

// Open prepares the client; it does not wait for the server (see Check). A
// connection string that cannot be parsed, or that asks for weaker guarantees
// than majority and journalled, is an error that never shows the password.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := CheckURI(o.URI); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	journal := true
	opts := options.Client().ApplyURI(o.URI).
		SetAppName(o.AppName).
		SetServerSelectionTimeout(selectionTimeout).
		SetConnectTimeout(selectionTimeout).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true)
	if o.MaxPool > 0 {
		opts.SetMaxPoolSize(o.MaxPool)
	}
	switch {
	case o.commands != nil:
		opts.SetMonitor(o.commands)
	case o.Observe != nil:
		opts.SetMonitor(monitor(o.Observe))
	}
	client, err := mongo.Connect(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open MongoDB client: %w", err)
	}
	s := &Store{client: client, db: client.Database(o.Database), log: o.Log, few: fewEventsDefault, heavy: heavyDefault,
		namesMost: metric.NamesMost, tallyMost: metric.TallyMost, notice: conflictNotice, spoilt: o.Spoilt}
	for name, c := range map[string]**mongo.Collection{
		"events": &s.events, "batches": &s.batches, "batch_marks": &s.marks,
		"rules": &s.rules, "rule_versions": &s.ruleVersions, "notifications": &s.notifications,
		"counters": &s.counters, "metric_windows": &s.metricWindows, "dimensions": &s.dimensions, "metrics": &s.metrics, "metric_sums": &s.metricSums,
		"users": &s.users, "leases": &s.leases, "dead_letters": &s.deadLetters, "stamps": &s.stamps,
		"window_dues": &s.windowDues,
		"throttles":   &s.throttles, "rule_hours": &s.ruleHours, "rule_excesses": &s.ruleExcesses, "groups": &s.groups, "announcements": &s.announcements,
		"audit": &s.audit, "rule_workers": &s.ruleWorkers, "ingesters": &s.ingesters,
		"silences": &s.silences, "templates": &s.templates, "targets": &s.targets, "replays": &s.replays,
		"sessions": &s.browserSessions, "tickets": &s.tickets,
	} {
		*c = s.db.Collection(name)
	}
	return s, nil
}

// CheckURI refuses connection strings that cannot be parsed or that ask for
// less than the product promises; the error names the option.
func CheckURI(uri string) error {
	cs, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return unreadableURI(uri, err)
	}
	var weak []error
	weaker := func(option, got, want string) {
		weak = append(weak, fmt.Errorf("MongoDB connection string: %s=%s is weaker than the %s that losing nothing needs; remove it", option, got, want))
	}
	if cs.WNumberSet {
		weaker("w", fmt.Sprint(cs.WNumber), "majority")
	} else if cs.WString != "" && cs.WString != "majority" {
		weaker("w", cs.WString, "majority")
	}
	if cs.JSet && !cs.J {
		weaker("journal", "false", "true")
	}
	if l := cs.ReadConcernLevel; l != "" && l != "majority" && l != "linearizable" {
		weaker("readConcernLevel", l, "majority")
	}
	if p := cs.ReadPreference; p != "" && p != "primary" {
		weaker("readPreference", p, "primary")
	}
	return errors.Join(weak...)
}

// unreadableURI says why a connection string cannot be read. The driver's own
// words may quote what it takes for a host or a port, which is the password when
// the @ is missing or not encoded.
func unreadableURI(uri string, err error) error {
	_, rest, _ := strings.Cut(uri, "://")
	servers, settings, _ := strings.Cut(rest, "?")
	quoted := func(part string) bool { return part != "" && strings.Contains(err.Error(), part) }
	parts := strings.FieldsFunc(servers, func(r rune) bool { return strings.ContainsRune("@/:,", r) })
	for setting := range strings.SplitSeq(settings, "&") {
		if name, value, _ := strings.Cut(strings.ToLower(setting), "="); strings.Contains(name, "password") || strings.Contains(name, "properties") {
			parts = append(parts, setting[len(setting)-len(value):])
		}
	}
	if slices.ContainsFunc(parts, quoted) {
		return errors.New("MongoDB connection string: cannot be read; expected mongodb://[user:password@]host[:port][,host[:port]…]/[?options], with user name and password percent-encoded")
	}
	return fmt.Errorf("MongoDB connection string: %w", err)
}

// Check says whether the server answers; nil means ready.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, selectionTimeout)
	defer cancel()
	if err := s.client.Ping(ctx, readpref.Primary()); err != nil {
		return classify("reach MongoDB", err)
	}
	return nil
}

// Close ends all connections; bounded by ctx.
func (s *Store) Close(ctx context.Context) error {
	if err := s.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("close MongoDB client: %w", err)
	}
	return nil
}

// DropDatabase removes everything; for tests and benchmarks on databases of
// their own.
func (s *Store) DropDatabase(ctx context.Context) error {
	return classify("drop database", s.db.Drop(ctx))
}

// monitor turns the driver's command events into Observe calls. The collection
// is the value of the command's first field, which only the start knows.
func monitor(observe func(collection, op, outcome string)) *event.CommandMonitor {
	started := newStartedCommands()
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			started.put(e.RequestID, collectionOf(e))
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			observe(started.take(e.RequestID), e.CommandName, "ok")
		},
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			observe(started.take(e.RequestID), e.CommandName, "error")
		},
	}
}

func collectionOf(e *event.CommandStartedEvent) string {
	if v, ok := e.Command.Lookup(e.CommandName).StringValueOK(); ok {
		return v
	}
	v, _ := e.Command.Lookup("collection").StringValueOK() // getMore
	return v
}

// bounded gives one operation its time limit.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, operationTimeout)
}

// field is a shorthand for one element of an ordered document.
func field(key string, value any) bson.E { return bson.E{Key: key, Value: value} }
