package event

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Batch is what the ingester stored in one transaction and what travels in one
// ea.stored message: the ledger row's figures and the stored documents
// themselves, so that no consumer parses JSON again or reads an event back.
type Batch struct {
	ID          string             `bson:"batch_id"`
	FirstID     primitive.ObjectID `bson:"first_id"`
	LastID      primitive.ObjectID `bson:"last_id"`
	MaxSeverity int                `bson:"max_severity"`
	StoredAt    time.Time          `bson:"stored_at"`
	Events      []bson.Raw         `bson:"events"`
}

// Critical says whether the batch overtakes a backlog (design: severity 9–10
// form batches of their own).
func (b Batch) Critical() bool { return b.MaxSeverity >= CriticalSeverity }

// Match is one stored event with the ids of the rules that it matched.
type Match struct {
	ID    primitive.ObjectID
	Rules []string
}

// CriticalSeverity is the lowest severity of the level "critical".
const CriticalSeverity = 9

// Level names the severity's band: info 1–3, warning 4–6, error 7–8,
// critical 9–10.
func Level(severity int) string {
	switch {
	case severity >= CriticalSeverity:
		return "critical"
	case severity >= 7:
		return "error"
	case severity >= 4:
		return "warning"
	default:
		return "info"
	}
}
