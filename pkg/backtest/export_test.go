package backtest

import (
	"time"

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
