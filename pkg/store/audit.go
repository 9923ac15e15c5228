package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// auditRetention is how long it is known who changed what.
const auditRetention = 365 * 24 * time.Hour

// Audit is a document of `audit`: who changed what. It is inserted in the
// transaction of the change, so that neither is without the other.
type Audit struct {
	ID        primitive.ObjectID `bson:"_id" json:"audit_id"`
	At        time.Time          `bson:"at" json:"at"`
	By        string             `bson:"by" json:"by"`
	Action    string             `bson:"action" json:"action"`                       // rule.create, rule.delete, …
	Subject   string             `bson:"subject,omitempty" json:"subject,omitempty"` // the id of what was changed
	Detail    bson.D             `bson:"detail,omitempty" json:"-"`
	ExpiresAt time.Time          `bson:"expires_at" json:"-"`
}

func (s *Store) noteAudit(sc mongo.SessionContext, a Audit) error {
	a.ID, a.ExpiresAt = primitive.NewObjectID(), a.At.Add(auditRetention)
	_, err := s.audit.InsertOne(sc, a)
	return err
}

// Audits lists the changes of one subject ("": of all), newest first.
func (s *Store) Audits(ctx context.Context, subject string, limit int) ([]Audit, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	filter := bson.D{}
	if subject != "" {
		filter = append(filter, field("subject", subject))
	}
	cur, err := s.audit.Find(ctx, filter, options.Find().SetSort(keys("at", -1, "_id", -1)).SetLimit(int64(limit)))
	var found []Audit
	if err == nil {
		err = cur.All(ctx, &found)
	}
	return found, classify("list the audit", err)
}
