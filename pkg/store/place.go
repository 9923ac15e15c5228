package store

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// Place is a position among the changes of one collection. Resume tokens are
// opaque and cannot be compared, so a place also has the time of the last change
// before it, and that change's number within this time (a transaction's changes
// share it): places of different streams, processes and days have one order.
type Place struct {
	Time  primitive.Timestamp // of the last change before
	N     uint32              // how many changes of that time came before the last one
	Seen  time.Time           // nothing else had happened then, by this machine's clock
	Token bson.Raw            // the server's; empty: Time alone says where to continue
}

// beginning is set in the N of a place that was read from the server's clock, and
// not behind a change: after all changes of its time. The other bits are the
// stream's, so that those of two streams that began at one time differ.
const beginning = 1 << 31

// AtBeginning says that no change lies before the place that its stream told. Its
// time is the server's clock, which may be ahead of a transaction that commits
// later: nothing follows from a comparison with a change's place. Two such places
// with the same Time and N are of one stream that told nothing between them.
func (p Place) AtBeginning() bool { return p.N >= beginning }

// pass moves the place past a change, to where every stream has it: also back
// from a clock's place, since a transaction may commit after others that have a
// later time. A time that goes backwards otherwise, which only a server's clock
// that was set back explains, counts as the last one.
func (p *Place) pass(at primitive.Timestamp) {
	switch {
	case at.After(p.Time), p.AtBeginning():
		p.Time, p.N = at, 0
	default:
		p.N++
	}
}

// Compare orders places: 0 means that no change lies between them.
func (p Place) Compare(q Place) int {
	if c := p.Time.Compare(q.Time); c != 0 {
		return c
	}
	return cmp.Compare(p.N, q.N)
}

// slack is taken off a moment by this machine's clock: the server's may differ.
const slack = 2 * time.Second

// Since is a moment before everything that follows the place was written.
func (p Place) Since() time.Time {
	changed, seen := time.Unix(int64(p.Time.T), 0).UTC(), p.Seen.Add(-slack).UTC()
	if seen.After(changed) || p.AtBeginning() {
		return seen.Truncate(time.Second)
	}
	return changed
}

const placeHeader = 4 + 4 + 4 + 8 // time, increment, N, seen

// String is the opaque form that clients get.
func (p Place) String() string {
	b := make([]byte, placeHeader, placeHeader+len(p.Token))
	binary.BigEndian.PutUint32(b, p.Time.T)
	binary.BigEndian.PutUint32(b[4:], p.Time.I)
	binary.BigEndian.PutUint32(b[8:], p.N)
	binary.BigEndian.PutUint64(b[12:], uint64(p.Seen.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(b, p.Token...))
}

var errPlace = errors.New("not a place of a stream")

// ParsePlace reads String's form. Whether the server still knows the place is
// another question.
func ParsePlace(text string) (Place, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < placeHeader {
		return Place{}, errPlace
	}
	p := Place{Time: primitive.Timestamp{T: binary.BigEndian.Uint32(b), I: binary.BigEndian.Uint32(b[4:])},
		N:    binary.BigEndian.Uint32(b[8:]),
		Seen: time.UnixMilli(int64(binary.BigEndian.Uint64(b[12:]))).UTC()}
	if b = b[placeHeader:]; len(b) > 0 {
		p.Token = b
		if p.Token.Validate() != nil {
			return Place{}, errPlace
		}
	}
	return p, nil
}
