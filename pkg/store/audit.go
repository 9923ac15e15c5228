package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
)

// auditRetention is how long it is known who changed what.
const auditRetention = 365 * 24 * time.Hour

// Audit is a document of `audit`: who changed what. It is inserted in the
// transaction of the change, so that neither is without the other. What a rule was
// and is stands in its versions, which are kept for good, and not here: so its
// secrets are in one place alone.
type Audit struct {
	ID        primitive.ObjectID `bson:"_id"`
	At        time.Time          `bson:"at"`
	By        string             `bson:"by"`
	Kind      string             `bson:"kind"`              // of what was changed: rule, user, …
	Action    string             `bson:"action"`            // rule.create, rule.delete, …
	Subject   string             `bson:"subject,omitempty"` // the id of what was changed
	RequestID string             `bson:"request_id,omitempty"`
	Detail    bson.D             `bson:"detail,omitempty"`
	Before    bson.D             `bson:"before,omitempty"` // none of what is new
	After     bson.D             `bson:"after,omitempty"`  // none of what was deleted
	ExpiresAt time.Time          `bson:"expires_at"`
}

type requestKey struct{}

// ForRequest is a context whose changes are noted in the audit under a request's
// id. Nothing is decided by it.
func ForRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

func (s *Store) noteAudit(sc mongo.SessionContext, a Audit) error {
	_, err := s.audit.InsertOne(sc, a.of(sc))
	return err
}

// of fills in what follows from the rest.
func (a Audit) of(ctx context.Context) Audit {
	a.ID, a.ExpiresAt = primitive.NewObjectID(), a.At.Add(auditRetention)
	a.Kind, _, _ = strings.Cut(a.Action, ".")
	a.RequestID, _ = ctx.Value(requestKey{}).(string)
	return a
}

// NoteAudit notes what is done outside this database, before it is done: then
// nothing is done without a word, though what is noted may not have come about.
func (s *Store) NoteAudit(ctx context.Context, a Audit) (primitive.ObjectID, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	a = a.of(ctx)
	_, err := s.audit.InsertOne(ctx, a)
	return a.ID, classify("note in the audit", err)
}

// EndAudit says what came of something that NoteAudit noted; of nothing, nothing
// is kept.
func (s *Store) EndAudit(ctx context.Context, id primitive.ObjectID, after bson.D) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var err error
	if after == nil {
		_, err = s.audit.DeleteOne(ctx, bson.D{field("_id", id)})
	} else {
		_, err = s.audit.UpdateOne(ctx, bson.D{field("_id", id)}, bson.D{field("$set", bson.D{field("after", after)})})
	}
	return classify("note in the audit what came of it", err)
}

// AuditFilter selects entries; what is empty restricts nothing.
type AuditFilter struct {
	By, Kind, Action, Subject string
	From, To                  time.Time
}

// AuditPosition is an entry's place in the order of lists, newest first.
type AuditPosition struct {
	At time.Time
	ID primitive.ObjectID
}

// FindAudit lists entries newest first, after the position.
func (s *Store) FindAudit(ctx context.Context, f AuditFilter, after *AuditPosition, limit int) ([]Audit, error) {
	q := bson.D{}
	for _, equal := range []bson.E{field("subject", f.Subject), field("by", f.By), field("kind", f.Kind), field("action", f.Action)} {
		if equal.Value != "" {
			q = append(q, equal)
		}
	}
	t := timeline{collection: s.audit, doing: "list the audit", path: "at", from: f.From, to: f.To, limit: limit}
	t.by, t.rest = apart(q, "subject", "by", "kind")
	if after != nil {
		t.after = &place{after.At, after.ID}
	}
	return listOf[Audit](ctx, s, t)
}

// shownDoc is what the audit keeps of a document that holds no secrets, under the
// names that it has in the database.
func shownDoc(v any) bson.D {
	raw, err := bson.Marshal(v)
	if err != nil {
		return bson.D{field("unreadable", err.Error())}
	}
	return slices.DeleteFunc(fieldsBut("_id", raw), func(e bson.E) bool { return e.Key == "expires_at" })
}
