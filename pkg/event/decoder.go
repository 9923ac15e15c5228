package event

import (
	"strings"
	"sync"
	"time"
)

// Input is one message as the transport delivered it.
type Input struct {
	Body        []byte
	ContentType string
	Exchange    string
	RoutingKey  string
	MessageID   string
	AppID       string
	Timestamp   time.Time // the AMQP timestamp; zero when absent
	Headers     map[string]any
	Now         time.Time // when the message is judged; becomes created_at
}

// Options of a Decoder. Zero values mean the defaults.
type Options struct {
	Retention       time.Duration            // created_at to expires_at; default 30 days
	RetentionByType map[string]time.Duration // overrides by event type
	Region          string                   // metadata.region of events that name none
	Ingester        string                   // metadata.ingested_by
	SchemaDir       string                   // JSON Schemas as <TYPE>.json; empty or absent: none
	MaxBody         int                      // bytes; default 256 KiB
	MaxDepth        int                      // nesting of the event; default 32
	MaxFuture       time.Duration            // how far ahead of Now a timestamp may be; default 10 minutes
}

// The defaults of Options. AMQP clients in use cannot parse much deeper
// nesting, and MongoDB's own limit is 100; clocks differ by seconds, so ten
// minutes ahead is a fault that would put the event first in every list.
const (
	RetentionDefault = 30 * 24 * time.Hour
	MaxBodyDefault   = 256 << 10
	MaxDepthDefault  = 32
	MaxFutureDefault = 10 * time.Minute
)

// Decoder turns messages into documents. It does not change and is safe for
// concurrent use.
type Decoder struct {
	options Options
	schemas schemas
	works   sync.Pool
}

// NewDecoder compiles the schemas; the error names every one that is bad.
func NewDecoder(o Options) (*Decoder, error) {
	if o.Retention <= 0 {
		o.Retention = RetentionDefault
	}
	if o.MaxBody <= 0 {
		o.MaxBody = MaxBodyDefault
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = MaxDepthDefault
	}
	if o.MaxFuture <= 0 {
		o.MaxFuture = MaxFutureDefault
	}
	o.Region = strings.ToValidUTF8(o.Region, "\uFFFD")
	o.Ingester = strings.ToValidUTF8(o.Ingester, "\uFFFD")
	s, err := loadSchemas(o.SchemaDir)
	if err != nil {
		return nil, err
	}
	return &Decoder{options: o, schemas: s, works: sync.Pool{New: func() any { return new(work) }}}, nil
}

// Schemas lists the event types that have a schema, in order, so that a process
// can say at start what it found.
func (d *Decoder) Schemas() []string { return d.schemas.types() }

// Decode returns the message's events, or an *Invalid that names all that is
// wrong with it. There is one event, or several for a CloudEvents batch. A
// message is one unit: when one event of a batch is refused, all are, since a
// message can only be stored or dead, and half of it twice would be both.
//
// Pointers lead into the message. Those of a binary CloudEvent lead into its
// structured form (`/severity` for the header ce-severity, `/data/…` for the
// body), since headers have none.
func (d *Decoder) Decode(in Input) ([]*Document, error) {
	if len(in.Body) > d.options.MaxBody {
		return nil, refused(ClassTooLarge, "", "the body has %d bytes, at most %d are taken", len(in.Body), d.options.MaxBody)
	}
	if in.Now.IsZero() {
		in.Now = time.Now()
	}
	w, _ := d.works.Get().(*work)
	defer d.release(w)
	w.begin(d, in)
	switch modeOf(&w.msg) {
	case modeNative:
		return w.native()
	case modeBinary:
		return w.binary()
	case modeStructured:
		return w.structured()
	case modeBatch:
		return w.batch()
	default:
		return nil, refused(ClassContentType, "",
			"expected content type application/json, application/cloudevents+json or application/cloudevents-batch+json, or the headers of a CloudEvent, found %s",
			excerpt([]byte(in.ContentType)))
	}
}

// The forms of a message.
type mode int

const (
	modeUnknown mode = iota
	modeNative
	modeBinary
	modeStructured
	modeBatch
)

func modeOf(in *Input) mode {
	media := mediaType(in.ContentType)
	switch {
	case media == "application/cloudevents+json":
		return modeStructured
	case media == "application/cloudevents-batch+json":
		return modeBatch
	case len(in.Headers) > 0 && hasCloudHeaders(in.Headers):
		return modeBinary
	case media == "" || isJSON(media):
		return modeNative
	}
	return modeUnknown
}

// mediaType is a content type without its parameters, in lower case.
func mediaType(contentType string) string {
	if contentType == "application/json" { // what nearly all messages have
		return contentType
	}
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// isJSON knows JSON and the types built on it (RFC 6839 §3.1).
func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// work is what decoding one message needs, kept for the next.
type work struct {
	transcoder
	decoder  *Decoder
	msg      Input
	draft    draft
	payload  part
	metadata part
}

func (w *work) begin(d *Decoder, in Input) {
	w.decoder, w.msg = d, in
	w.reset(in.Body)
	w.maxDepth = d.options.MaxDepth
	w.collected = true
	w.beginEvent()
}

// beginEvent forgets the event before.
func (w *work) beginEvent() {
	w.draft = draft{severity: severityUnset}
	w.payload.out, w.metadata.out = w.payload.out[:0], w.metadata.out[:0]
	w.payload.text.reset()
	w.metadata.text.reset()
}

// keptMax is up to which size buffers are kept: a few huge messages must not
// leave every worker with megabytes.
const keptMax = 64 << 10

func (d *Decoder) release(w *work) {
	w.decoder, w.msg, w.in = nil, Input{}, nil
	w.draft = draft{}
	w.bad = violations{}
	if cap(w.out)+cap(w.payload.out)+cap(w.metadata.out)+cap(w.scratch)+cap(w.keys) > keptMax {
		return
	}
	d.works.Put(w)
}

// native reads the body as one event in the native shape.
func (w *work) native() ([]*Document, error) {
	if w.container('{', eventObject) && w.members(w.nativeMember) && w.end() {
		return w.one("timestamp")
	}
	return nil, w.bad.err()
}

const eventObject = "an event, a JSON object"

// container looks for the object or array that the body must be.
func (w *work) container(bracket byte, want string) bool {
	w.space()
	switch {
	case w.pos >= len(w.in):
		return w.unexpected(want)
	case w.in[w.pos] != bracket:
		w.refuse("expected %s, found %s", want, w.found())
		_ = w.skip(0) && w.end() // it may be no JSON at all
		return false
	}
	return true
}

// one finishes a message of one event.
func (w *work) one(timeMember string) ([]*Document, error) {
	var s struct {
		list [1]*Document
		doc  Document
	}
	if !w.finish(timeMember, &s.doc) {
		return nil, w.bad.err()
	}
	s.list[0] = &s.doc
	return s.list[:], nil
}
