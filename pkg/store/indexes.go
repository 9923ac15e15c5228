package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
)

// Index is one row of the index table.
type Index struct {
	Collection string
	Name       string
	Keys       bson.D
	Unique     bool
	TTL        bool   // expires a document at the date in its key
	Partial    bson.D // only documents that match it are in the index
	Optional   bool   // a server without this kind is used without it
	Serves     string // the query that needs it
}

func exists(path string) bson.D {
	return bson.D{field(path, bson.D{field("$exists", true)})}
}

// openStage matches the ledger rows whose stage is not done.
func openStage(stage Stage) bson.D { return bson.D{field(string(stage), nil)} }

func keys(kv ...any) bson.D {
	d := make(bson.D, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		d = append(d, field(kv[i].(string), kv[i+1])) //nolint:forcetypeassert // names and directions in turns, written out in every call
	}
	return d
}

// Indexes is the one table of indexes; EnsureIndexes creates them, and the
// explain specs show that each query uses its own. Indexes of fields that many
// events lack are partial, so that those events do not pay for them. Times that
// aggregations read ascend: MongoDB walks an index both ways, and secantusd-rs takes
// the order of an index that ascends as it is, and works out any other one.
var Indexes = []Index{
	{Collection: "events", Name: "event_id", Keys: keys("event_id", 1), Unique: true,
		Serves: "one event by its id; the guard against duplicates"},
	{Collection: "events", Name: "type_time", Keys: keys("type", 1, "timestamp", 1, "severity", 1),
		Serves: "events of a type in a time range, window rules' counts"},
	{Collection: "events", Name: "source_time", Keys: keys("source", 1, "timestamp", 1),
		Serves: "events of a source in a time range"},
	{Collection: "events", Name: "time", Keys: keys("timestamp", 1, "_id", 1),
		Serves: "the newest events, and every list's cursor"},
	{Collection: "events", Name: "error_time", Keys: keys("timestamp", 1, "type", 1), Partial: bson.D{field("severity", bson.D{field("$gte", ErrorSeverity)})},
		Serves: "the errors of a time range, by type and text"},
	{Collection: "events", Name: "user_time", Keys: keys("user_id", 1, "timestamp", 1), Partial: exists("user_id"),
		Serves: "a user's events"},
	{Collection: "events", Name: "session_time", Keys: keys("session_id", 1, "timestamp", 1), Partial: exists("session_id"),
		Serves: "a session's events"},
	{Collection: "events", Name: "trace", Keys: keys("trace_id", 1), Partial: exists("trace_id"),
		Serves: "the events of one trace"},
	{Collection: "events", Name: "rules_time", Keys: keys("matched_rules", 1, "timestamp", 1), Partial: exists("matched_rules"),
		Serves: "the events that a rule matched"},
	{Collection: "events", Name: "caused", Keys: keys("metadata.caused_by", 1, "timestamp", 1), Partial: exists("metadata.caused_by"),
		Serves: "what an event led to"},
	{Collection: "events", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},
	{Collection: "events", Name: "location", Keys: keys("metadata.location", "2dsphere"),
		Serves: "events near a place"},
	{Collection: "events", Name: "text", Keys: keys("search_text", "text"), Optional: true,
		Serves: "text search"},

	// Plain, not partial: partial indexes cannot ask for absence, and a row
	// stands for up to 500 events, so its index entries cost next to nothing.
	{Collection: "batches", Name: "published", Keys: keys("published_at", 1, "stored_at", 1, "_id", 1),
		Serves: "the ingester's sweep and its lag"},
	{Collection: "batches", Name: "matched", Keys: keys("matched_at", 1, "stored_at", 1, "_id", 1),
		Serves: "the rule-worker's lag"},
	{Collection: "batches", Name: "actions_published", Keys: keys("actions_published_at", 1, "stored_at", 1, "_id", 1),
		Serves: "the rule-worker's sweep and its lag"},
	{Collection: "batches", Name: "aggregated", Keys: keys("aggregated_at", 1, "stored_at", 1, "_id", 1),
		Serves: "the aggregator's lag; what verify must leave out: not counted yet, or counted since it began"},
	{Collection: "batches", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention, from the end of the last stage"},
	{Collection: "batch_marks", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},

	{Collection: "rules", Name: "name", Keys: keys("name", 1), Unique: true,
		Serves: "a rule by its name"},
	{Collection: "rules", Name: "enabled_priority", Keys: keys("enabled", 1, "priority", 1, "_id", 1),
		Serves: "the rule-workers' set"},
	{Collection: "rule_versions", Name: "rule_version", Keys: keys("rule_id", 1, "version", -1), Unique: true,
		Serves: "a rule's history"},

	{Collection: "rule_workers", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "forgetting workers that ended without a word"},

	{Collection: "ingesters", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "forgetting ingesters that ended without a word"},

	{Collection: "sessions", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "forgetting browsers whose time is over"},
	{Collection: "tickets", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "tickets that nobody used"},

	{Collection: "audit", Name: "subject_time", Keys: keys("subject", 1, "at", -1, "_id", -1),
		Serves: "who changed one rule, newest first"},
	{Collection: "audit", Name: "by_time", Keys: keys("by", 1, "at", -1, "_id", -1),
		Serves: "what one user changed, newest first"},
	{Collection: "audit", Name: "kind_time", Keys: keys("kind", 1, "at", -1, "_id", -1),
		Serves: "what was changed of one kind, newest first"},
	{Collection: "audit", Name: "time", Keys: keys("at", -1, "_id", -1),
		Serves: "the newest changes"},
	{Collection: "audit", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},

	{Collection: "notifications", Name: "event", Keys: keys("event_id", 1),
		Serves: "what an event caused; what a redelivered batch still owes"},
	{Collection: "notifications", Name: "status_time", Keys: keys("status", 1, "created_at", -1, "_id", -1),
		Serves: "notifications by status, newest first"},
	{Collection: "notifications", Name: "rule_time", Keys: keys("rule_id", 1, "created_at", -1, "_id", -1),
		Serves: "a rule's notifications, newest first"},
	{Collection: "notifications", Name: "time", Keys: keys("created_at", -1, "_id", -1),
		Serves: "the newest notifications, and every list's cursor"},
	{Collection: "notifications", Name: unpublishedIndex, Keys: keys("unpublished", 1, "created_at", 1, "_id", 1), Partial: exists("unpublished"),
		Serves: "the sweep of what a timer decided and did not publish"},
	{Collection: "notifications", Name: "next", Keys: keys("next_attempt_at", 1), Partial: exists("next_attempt_at"),
		Serves: "the sweep of attempts that are overdue"},
	{Collection: "notifications", Name: "held", Keys: keys("held.id", 1, "created_at", -1, "_id", -1), Partial: exists("held.id"),
		Serves: "what a silence, throttle or group held back, newest first"},
	{Collection: "notifications", Name: "replay", Keys: keys("replay_id", 1, "created_at", -1, "_id", -1), Partial: exists("replay_id"),
		Serves: "what a replay made, newest first"},
	{Collection: "notifications", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},

	{Collection: "window_dues", Name: "due_rule", Keys: keys("due_at", 1, "rule_id", 1),
		Serves: "the windows whose time to be decided has come, without those of rules that are busy"},
	{Collection: "window_dues", Name: "deferred_rule", Keys: keys("deferred", 1, "due_at", 1, "rule_id", 1), Partial: exists("deferred"),
		Serves: "those that wait for no event to be stored, while others do"},
	{Collection: "window_dues", Name: "rule", Keys: keys("rule_id", 1, "_id", 1),
		Serves: "the windows that a rule's new version takes over"},
	{Collection: "throttles", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention, from when a key means nothing any more"},
	{Collection: "rule_hours", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},
	{Collection: "rule_excesses", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},
	{Collection: "groups", Name: "flush", Keys: keys("flush_at", 1),
		Serves: "the groups that are to be told"},
	{Collection: "groups", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "forgetting groups in which nothing comes any more"},
	{Collection: "targets", Name: "state", Keys: keys("state", 1, "_id", 1),
		Serves: "the targets that dispatchers hold messages back for; lists by state"},
	{Collection: "targets", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention of what is closed"},
	{Collection: "users", Name: "role", Keys: keys("role", 1),
		Serves: "the recipients of a notification to a role"},
	{Collection: "rules", Name: "template", Keys: keys("actions.config.template", 1),
		Serves: "the rules that name a template which is to be deleted"},
	{Collection: "silences", Name: "until", Keys: keys("until", 1),
		Serves: "the silences that the rule-workers hold"},
	{Collection: "silences", Name: "time", Keys: keys("created_at", -1, "_id", -1),
		Serves: "the newest silences, and the list's cursor"},
	{Collection: "silences", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention, from the end of the silence"},
	{Collection: "replays", Name: "state_time", Keys: keys("state", 1, "created_at", -1, "_id", -1),
		Serves: "the replay that is to go on; how many are not over; lists by state"},
	{Collection: "replays", Name: "time", Keys: keys("created_at", -1, "_id", -1),
		Serves: "the newest replays, and the list's cursor"},
	{Collection: "replays", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention, from the end of the replay"},
	{Collection: "announcements", Name: "time", Keys: keys("created_at", 1),
		Serves: "the sweep of events about rules that are not published"},

	{Collection: "counters", Name: "minute", Keys: keys("minute", 1),
		Serves: "the materialiser's windows, verify, the summary of what is not closed yet"},
	{Collection: "counters", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention, longer than that of the raw events"},
	{Collection: "metric_windows", Name: "period_start", Keys: keys("period", 1, "start", 1),
		Serves: "the windows that changed since they were materialised"},
	{Collection: "metrics", Name: "kind_period_time", Keys: keys("metric_type", 1, "period", 1, "timestamp", 1, "_id", 1),
		Serves: "one metric's windows in a time range, added up or listed"},
	{Collection: "metrics", Name: "time", Keys: keys("timestamp", -1, "_id", -1),
		Serves: "the newest metrics of all kinds, and the list's cursor"},
	{Collection: "metrics", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention by period"},
	{Collection: "metric_sums", Name: "period_start", Keys: keys("period", 1, "start", 1),
		Serves: "what the metrics of each window in a time range add up to"},
	{Collection: "metric_sums", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention by period"},

	{Collection: "users", Name: "email", Keys: keys("email", 1), Unique: true,
		Serves: "a user by address"},
	{Collection: "users", Name: "api_key", Keys: keys("api_keys.hash", 1), Unique: true, Partial: exists("api_keys.hash"),
		Serves: "the user of an API key, once per request and cache miss"},
	{Collection: "users", Name: "api_key_id", Keys: keys("api_keys.id", 1), Partial: exists("api_keys.id"),
		Serves: "the user of a key that is rotated or revoked"},

	{Collection: "dead_letters", Name: "queue_time", Keys: keys("queue", 1, "dead_at", -1, "_id", -1),
		Serves: "a queue's dead letters, newest first"},
	{Collection: "dead_letters", Name: "cause_time", Keys: keys("cause", 1, "dead_at", -1, "_id", -1),
		Serves: "the dead letters of one cause, newest first"},
	{Collection: "dead_letters", Name: "waiting_time", Keys: keys("replayed_at", 1, "purged_at", 1, "dead_at", -1, "_id", -1),
		Serves: "the dead letters that wait, newest first, grouped by cause and counted"},
	{Collection: "dead_letters", Name: "time", Keys: keys("dead_at", -1, "_id", -1),
		Serves: "the newest dead letters"},
	{Collection: "dead_letters", Name: "expiry", Keys: keys("expires_at", 1), TTL: true,
		Serves: "retention"},
}

// unpublishedIndex is named by whoever goes on after one.
const unpublishedIndex = "unpublished_time"

// IndexDifference is one way in which the database's indexes are not the table's.
type IndexDifference struct{ Collection, Index, What string }

// CheckIndexes lists the table's indexes that the database lacks, or has with other
// keys: those that an older release made. They are not made anew by themselves,
// since that takes minutes of a large collection, without an index meanwhile.
func (s *Store) CheckIndexes(ctx context.Context) ([]IndexDifference, error) {
	var differences []IndexDifference
	have := map[string]map[string]bson.Raw{}
	for _, ix := range Indexes {
		if have[ix.Collection] == nil {
			found, err := s.indexKeys(ctx, ix.Collection)
			if err != nil {
				return nil, err
			}
			have[ix.Collection] = found
		}
		found := have[ix.Collection][ix.Name]
		switch {
		case found == nil && !ix.Optional:
			differences = append(differences, IndexDifference{ix.Collection, ix.Name, "missing; it serves " + ix.Serves + "; starting any process makes it"})
		case found != nil && !ix.has(found):
			differences = append(differences, IndexDifference{ix.Collection, ix.Name,
				fmt.Sprintf("keys are %s, not %s; drop it and start any process, which makes it anew", found, ix.keysText())})
		}
	}
	return differences, nil
}

// has says whether these are the index's keys. Those of a text index are the
// server's own.
func (ix Index) has(found bson.Raw) bool {
	elements, err := found.Elements()
	if ix.isText() || err != nil {
		return true
	}
	return slices.EqualFunc(ix.Keys, elements, func(want bson.E, e bson.RawElement) bool {
		if kind, ok := want.Value.(string); ok {
			text, _ := e.Value().StringValueOK()
			return want.Key == e.Key() && kind == text
		}
		direction, ok := e.Value().AsInt64OK() // some servers tell it as a double
		return ok && want.Key == e.Key() && want.Value == int(direction)
	})
}

func (ix Index) keysText() string {
	raw, err := bson.MarshalExtJSON(ix.Keys, false, false)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// indexKeys are the keys of a collection's indexes by name.
func (s *Store) indexKeys(ctx context.Context, collection string) (map[string]bson.Raw, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	specs, err := s.db.Collection(collection).Indexes().ListSpecifications(ctx)
	found := map[string]bson.Raw{}
	if err != nil {
		if hasCode(err, 26) { // NamespaceNotFound: the collection does not exist yet
			return found, nil
		}
		return nil, classify("list indexes of "+collection, err)
	}
	for _, spec := range specs {
		found[spec.Name] = spec.KeysDocument
	}
	return found, nil
}

func hasCode(err error, code int) bool {
	var server mongo.ServerError
	return errors.As(err, &server) && server.HasErrorCode(code)
}

// isIndexRace: another process created the same index at this moment, or
// somebody has one like it.
func isIndexRace(err error) bool { return hasCode(err, 85) || hasCode(err, 86) || hasCode(err, 68) }

// isUnsupported: CannotCreateIndex or BadValue, the answers of servers without
// this kind of index; CommandNotSupported on others.
func isUnsupported(err error) bool { return hasCode(err, 67) || hasCode(err, 2) || hasCode(err, 115) }
