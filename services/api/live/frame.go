package live

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// Gap says that changes between two moments were not told: the history of the
// change stream is lost. What was written then can be read by the lists.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Frame is one thing to tell a live client: a change, a gap, that it waits, or,
// when it is none of these, the stream's position.
type Frame struct {
	Place store.Place // resume after this
	Gap   *Gap
	Waits bool // for a stream that catches up, of which there are some only
	entry *entry
}

// IsChange says that the frame is a change.
func (f Frame) IsChange() bool { return f.entry != nil }

// Document is a change's document.
func (f Frame) Document() bson.Raw { return f.entry.document }

// ID is what a client resumes with.
func (f Frame) ID() string {
	if f.entry != nil {
		return f.entry.id
	}
	return f.Place.String()
}

// JSON is a change's document as the API shows it.
func (f Frame) JSON() []byte { return f.entry.text }
