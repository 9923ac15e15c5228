package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// accepted and refusedItem answer for one event of a POST.
type accepted struct {
	Index   int    `json:"index"`
	EventID string `json:"event_id"`
}

type refusedItem struct {
	Index  int         `json:"index"`
	Errors []FieldFlaw `json:"errors"`
}

type posted struct {
	Accepted []accepted    `json:"accepted"`
	Rejected []refusedItem `json:"rejected"`
}

// postEvents: POST /events, one event or many, in any of the forms below. Good
// ones are published with confirms, so a 202 means that they will be stored; bad
// ones are named and harm nobody else. None good is a 422.
func (s *Server) postEvents(c echo.Context) error {
	if p := read(c); p.err() != nil {
		return p.err()
	}
	ids, err := idsOf(c)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	items, err := s.split(c.Request().Header, body)
	if err != nil {
		return err
	}
	now := s.now()
	answer := posted{Accepted: []accepted{}, Rejected: []refusedItem{}}
	messages := make([]broker.Message, 0, len(items))
	for i, one := range items {
		message, id, err := s.message(one, ids.next(one), now)
		var invalid *event.Invalid
		switch {
		case errors.As(err, &invalid):
			refused := refusedItem{Index: i}
			for _, v := range invalid.Violations {
				refused.Errors = append(refused.Errors, FieldFlaw{Line: one.line, Pointer: v.Pointer, Message: v.Message})
			}
			answer.Rejected = append(answer.Rejected, refused)
		case err != nil:
			return err
		default:
			messages = append(messages, message)
			answer.Accepted = append(answer.Accepted, accepted{Index: i, EventID: id})
		}
	}
	if len(messages) == 0 {
		return c.JSON(http.StatusUnprocessableEntity, answer)
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.cfg.PublishTimeout)
	defer cancel()
	if err := s.publisher.Publish(ctx, messages...); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, answer)
}

// postedItem is one event of a request, as a producer would publish it.
type postedItem struct {
	body        []byte
	contentType string
	headers     map[string]any // of a CloudEvent in binary mode
	line        int            // of the body, where that has lines
}

const (
	typeCloudEvent  = "application/cloudevents+json"
	typeCloudEvents = "application/cloudevents-batch+json"
)

// lineTypes are JSON lines, by the names that are in use.
var lineTypes = []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}

// split takes a request apart. A form that curl sends by itself is taken for the
// JSON that somebody forgot to call so.
func (s *Server) split(header http.Header, body []byte) ([]postedItem, error) {
	given := header.Get(echo.HeaderContentType)
	media, _, err := mime.ParseMediaType(given)
	if given != "" && err != nil {
		return nil, unsupported(given)
	}
	attributes, err := cloudHeaders(header)
	switch {
	case err != nil:
		return nil, err
	case media == typeCloudEvent:
		return s.several([]json.RawMessage{body}, typeCloudEvent)
	case media == typeCloudEvents:
		return s.array(body, typeCloudEvent)
	case attributes != nil:
		if len(given) > maxText {
			return nil, unsupported(given)
		}
		return []postedItem{{body: body, contentType: given, headers: attributes}}, nil
	case slices.Contains(lineTypes, media):
		return s.lines(body)
	case media != "" && media != echo.MIMEApplicationJSON && media != "text/json" && media != echo.MIMEApplicationForm:
		return nil, unsupported(given)
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, problem(http.StatusBadRequest, "empty_body", "expected an event, or an array of events, as JSON")
	}
	if trimmed[0] == '[' {
		return s.array(body, echo.MIMEApplicationJSON)
	}
	return s.several([]json.RawMessage{body}, echo.MIMEApplicationJSON)
}

func unsupported(contentType string) error {
	return problem(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"the content type is %q, expected application/json (one event or an array), application/x-ndjson, %s, %s, or the ce- headers of a CloudEvent in binary mode",
		excerptOf(contentType), typeCloudEvent, typeCloudEvents)
}

func (s *Server) array(body []byte, contentType string) ([]postedItem, error) {
	all, err := s.elements(body)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "invalid_json", "the array cannot be read: %s", err)
	}
	return s.several(all, contentType)
}

// elements are those of an array, up to the first that is too many: what is
// refused anyway takes no memory for each of millions.
func (s *Server) elements(body []byte) (all []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if begin, err := d.Token(); err != nil || begin != json.Delim('[') {
		return nil, cmp.Or(err, errNoArray)
	}
	for d.More() {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		if all = append(all, one); len(all) > s.cfg.EventsPerRequest {
			return all, nil
		}
	}
	if _, err := d.Token(); err != nil { // its end
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, cmp.Or(err, errors.New("something follows it"))
	}
	return all, nil
}

var errNoArray = errors.New("the body does not begin with [")

func (s *Server) several(all []json.RawMessage, contentType string) ([]postedItem, error) {
	if err := s.counted(len(all)); err != nil {
		return nil, err
	}
	items := make([]postedItem, len(all))
	for i, one := range all {
		items[i] = postedItem{body: one, contentType: contentType}
	}
	return items, nil
}

// lines has an event a line; empty ones are skipped.
func (s *Server) lines(body []byte) ([]postedItem, error) {
	var items []postedItem
	n := 0
	for line := range bytes.Lines(body) {
		n++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			items = append(items, postedItem{body: line, contentType: echo.MIMEApplicationJSON, line: n})
		}
		if len(items) > s.cfg.EventsPerRequest { // the others take no memory
			break
		}
	}
	return items, s.counted(len(items))
}

func (s *Server) counted(n int) error {
	switch most := s.cfg.EventsPerRequest; {
	case n == 0:
		return problem(http.StatusBadRequest, "wrong_count", "no events, expected 1 to %d", most)
	case n > most:
		return problem(http.StatusBadRequest, "wrong_count", "more than %d events, which is the most of one request", most)
	}
	return nil
}

// cloudHeadersMost bounds the attributes of a CloudEvent in binary mode, in
// bytes: they travel as headers of an AMQP message.
const cloudHeadersMost = 16 << 10

// cloudHeaders are the attributes of a CloudEvent in binary mode, nil when the
// request is none. Values are percent-encoded, as CloudEvents' HTTP binding has
// it.
func cloudHeaders(header http.Header) (map[string]any, error) {
	attributes, size, is := map[string]any{}, 0, false
	for _, name := range slices.Sorted(maps.Keys(header)) {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok || attribute == "" || len(attribute) > maxText { // longer than AMQP could carry, and no attribute
			continue
		}
		value := header.Get(name)
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		size += len(attribute) + len(value)
		attributes["ce-"+attribute] = value
		is = is || slices.Contains([]string{"specversion", "id", "source", "type"}, attribute)
	}
	switch {
	case !is:
		return nil, nil //nolint:nilnil // it is no CloudEvent
	case size > cloudHeadersMost:
		bad := problem(http.StatusBadRequest, "invalid_parameter", "the ce- headers cannot be used")
		bad.Errors = []FieldFlaw{{Parameter: "ce-*", Message: fmt.Sprintf("%d bytes, at most %d", size, cloudHeadersMost)}}
		return nil, bad
	}
	return attributes, nil
}

// message is the event as a producer would publish it. An event without an id
// gets one through its message id, from which the ingester derives the same.
func (s *Server) message(one postedItem, id string, now time.Time) (broker.Message, string, error) {
	docs, err := s.decoder.Decode(event.Input{Body: one.body, ContentType: one.contentType, Headers: one.headers, MessageID: id, Timestamp: now.Truncate(time.Second), Now: now})
	if err != nil {
		return broker.Message{}, "", err
	}
	return broker.Message{
		Exchange:    s.topology.Exchange(topology.ExchangeEvents),
		RoutingKey:  "events." + strings.ToLower(strings.ReplaceAll(docs[0].Type, "_", ".")),
		ContentType: one.contentType, Headers: one.headers, MessageID: id, AppID: "events-aggregator-api",
		Timestamp: now, Body: one.body,
	}, docs[0].EventID, nil
}

// messageIDs gives the events of a request their message ids: new ones, or, with
// an Idempotency-Key, such that the same event under the same key has the same
// again. Nothing has to be kept for that: the repeat is a duplicate for the
// ingester, as every redelivery is, and its answer is made anew, the same.
type messageIDs struct {
	key  string
	seen map[[sha256.Size]byte]int
}

const headerIdempotencyKey = "Idempotency-Key"

// keyIDs is the namespace of message ids that a key makes.
var keyIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/events-aggregator/events-aggregator#idempotency-key"))

func idsOf(c echo.Context) (*messageIDs, error) {
	given := c.Request().Header.Values(headerIdempotencyKey)
	if len(given) == 0 {
		return &messageIDs{}, nil
	}
	key := given[0]
	if len(given) > 1 || key == "" || len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		bad := problem(http.StatusBadRequest, "invalid_parameter", "the header %s cannot be used", headerIdempotencyKey)
		bad.Errors = []FieldFlaw{{Parameter: headerIdempotencyKey, Message: "expected one, of 1 to 255 printable ASCII characters"}}
		return nil, bad
	}
	return &messageIDs{key: currentUser(c).ID + "\x00" + key, seen: map[[sha256.Size]byte]int{}}, nil
}

// next is the id of the request's next event. It depends on the event's text, not
// on its place: who mends what was rejected and sends all again under the same
// key repeats nothing, and who uses a key twice for different events loses none.
// Two equal events of one request stay two.
func (m *messageIDs) next(one postedItem) string {
	if m.key == "" {
		return uuid.NewString()
	}
	h := sha256.New()
	h.Write(one.body)
	for _, name := range slices.Sorted(maps.Keys(one.headers)) {
		fmt.Fprintf(h, "\x00%s\x00%v", name, one.headers[name])
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	n := m.seen[sum]
	m.seen[sum]++
	return uuid.NewSHA1(keyIDs, fmt.Appendf(nil, "%s\x00%x\x00%d", m.key, sum, n)).String()
}
