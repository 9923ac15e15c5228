package backtest

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/rule"
	"github.com/events-aggregator/events-aggregator/pkg/rule/window"
)

// Pieces cuts a range as a back-test does, in milliseconds.
func Pieces(p window.Part, from, to time.Time, counts []Count, unit string) (pieces [][2]int64) {
	for _, one := range piecesOf(p, from, to, counts, unit) {
		pieces = append(pieces, [2]int64{one.from, one.to})
	}
	return pieces
}

// Halves cuts a piece in two.
func Halves(p window.Part, from, to int64) (pieces [][2]int64) {
	for _, one := range (piece{from, to}).halves(p) {
		pieces = append(pieces, [2]int64{one.from, one.to})
	}
	return pieces
}

// Noise decides about matches one after the other, with so many keys at most.
type Noise struct{ *noise }

// NewNoise remembers nothing yet.
func NewNoise(r rule.Rule, most int) (Noise, error) {
	n, err := newNoise(r, nil)
	n.most = most
	return Noise{n}, err
}

// Take is one match; held says why it is held back.
func (n Noise) Take(at time.Time, eventID string, event bson.Raw) (held string, err error) {
	reasons, err := n.take([]match{{at: at, eventID: eventID, event: event}})
	return reasons[0], err
}

// Finish is the outcome.
func (n Noise) Finish() Actions {
	n.finish()
	return n.actions()
}

// Remembered counts what it holds in memory.
func (n Noise) Remembered() int {
	return len(n.groups) + len(n.throttles) + n.toTell.Len() + n.toDrop.Len()
}
