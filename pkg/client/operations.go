// Code generated from services/api/openapi.yaml; DO NOT EDIT.

package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
)

// ListEventsParams are what ListEvents may be asked with; zero values are not sent.
type ListEventsParams struct {
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Whether the rules have decided about it.
	Processed *bool
	// The rule's id.
	Rule string
	// Within so many metres of a place: `longitude,latitude,metres`. Events say where by `metadata.location`, a GeoJSON Point.
	Near string
	// By the event's time: `-timestamp` is the newest first, `timestamp` the oldest. One of -timestamp, timestamp.
	Sort string
	// Only these fields: paths with commas between them, at most 50. `event_id` and `timestamp` are always there.
	Fields string
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListEvents: Find events.
//
// GET /api/v1/events, for the role user.
//
// Stored events, the newest first. All parameters restrict; `filter` takes any condition that a rule may have and is refused with the
// reason when it cannot be one.
//
// **Filters need something that an index serves**: one of `type`, `source`, `user_id`, `session_id`, `trace_id`, `rule`, `near`, a
// `severity_min` of 7 or more (`level=error`, `level=critical`), a condition that fixes one of these fields, or a time to begin at
// (`from`, or `{"timestamp": {"$gte": …}}` in the condition). Where there is none, as for `filter={"payload.amount": 7}` alone, the
// database might read every event to find none: that is a 400 `needs_time_range`. What still takes longer than
// `api.search_timeout` (10 s) is a 504.
//
// Pages go by the event's time, and by the order of storing where that is the same: following `next_cursor` shows each event once,
// whatever is stored meanwhile. A page of large events ends at 8 MiB, before its `limit`. With `fields`, the database
// reads and sends only these, and `event_id` and `timestamp`.
func (c *Client) ListEvents(ctx context.Context, p ListEventsParams) (EventPage, error) {
	query := url.Values{}
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "processed", p.Processed)
	add(query, "rule", p.Rule)
	add(query, "near", p.Near)
	add(query, "sort", p.Sort)
	add(query, "fields", p.Fields)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer EventPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/events", query: query}, &answer)
	return answer, err
}

// AllEvents goes through all pages of ListEvents; it ends with the first error.
func (c *Client) AllEvents(ctx context.Context, p ListEventsParams) iter.Seq2[FoundEvent, error] {
	return pages(p.Cursor, func(cursor string) ([]FoundEvent, string, error) {
		p.Cursor = cursor
		page, err := c.ListEvents(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// PostEventsParams are what PostEvents may be asked with; zero values are not sent.
type PostEventsParams struct {
	// Anything that is yours alone, such as a new UUID for each new request; send the same one when you try again.
	IdempotencyKey string
}

// PostEvents: Publish events.
//
// POST /api/v1/events, for the role user.
//
// One event, or up to 1,000 as an array, as JSON lines or as CloudEvents. The good ones are published to RabbitMQ with confirms, so 202
// means that they will be stored; bad ones are named in `rejected` and harm nobody else. When none is good the answer is a 422 of the
// same shape.
//
// | Content-Type | body |
// |---|---|
// | `application/json` | one event, or an array |
// | `application/x-ndjson` | an event a line |
// | `application/cloudevents+json` | one CloudEvent 1.0, structured |
// | `application/cloudevents-batch+json` | an array of them |
// | any, with the headers `ce-specversion`, `ce-id`, `ce-source` and `ce-type` | one CloudEvent, binary: the body is its data |
//
// Without `event_id` an event gets one, which the answer tells. To be able to send again what may have arrived, send your own ids (UUIDs),
// or an `Idempotency-Key`: the same event under the same key has the same id again, is stored once, and is answered the same. The
// key goes together with each event's text, so after an answer with `rejected` you may mend those and send all again under the same
// key. CloudEvents have their ids from their `source` and `id`, and need no key.
//
// `type` and `source` are required; `severity` (3) and `timestamp` (now) have defaults.
//
// An answer with status 422 is no error here.
func (c *Client) PostEvents(ctx context.Context, p PostEventsParams, body []NewEvent) (PostedEvents, error) {
	header := http.Header{}
	add(header, "Idempotency-Key", p.IdempotencyKey)
	var answer PostedEvents
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/events", header: header, body: body, also: []int{422}}, &answer)
	return answer, err
}

// PostEventsWith is PostEvents with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PostEventsWith(ctx context.Context, p PostEventsParams, body Body) (PostedEvents, error) {
	header := http.Header{}
	add(header, "Idempotency-Key", p.IdempotencyKey)
	var answer PostedEvents
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/events", header: header, body: body, also: []int{422}}, &answer)
	return answer, err
}

// SearchEventsParams are what SearchEvents may be asked with; zero values are not sent.
type SearchEventsParams struct {
	// What to look for, at most 16 words. It is required.
	Q string
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Whether the rules have decided about it.
	Processed *bool
	// The rule's id.
	Rule string
	// Within so many metres of a place: `longitude,latitude,metres`. Events say where by `metadata.location`, a GeoJSON Point.
	Near string
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// SearchEvents: Search the text of events.
//
// GET /api/v1/events/search, for the role user.
//
// Events by the words in their payload and metadata, those that fit best first. All words must be there; words in "double quotes" must
// follow each other; a word with a minus before it must not be there. Case does not matter. Letters, digits and the underscore make
// words, all else is between them: `provider_timeout` is one word, `eu-west` is two. Words are looked for whole and as they are: no
// stems, and none is left out as too common. Looked at are the first 4 KiB of an event's texts (`search_text`).
//
// `mode` says how it was found. `text_index`: by MongoDB's text index, ranked by its score. `term_match`: the server has no text
// indexes, so the texts of the events that the other filters leave are read; these must then hold something that an index serves, or
// `from`, as for `GET /api/v1/events` (else 400 `needs_time_range`). Both give the same events, and rank them by the same formula.
func (c *Client) SearchEvents(ctx context.Context, p SearchEventsParams) (SearchPage, error) {
	query := url.Values{}
	add(query, "q", p.Q)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "processed", p.Processed)
	add(query, "rule", p.Rule)
	add(query, "near", p.Near)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer SearchPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/events/search", query: query}, &answer)
	return answer, err
}

// ExportEventsParams are what ExportEvents may be asked with; zero values are not sent.
type ExportEventsParams struct {
	// JSON lines, or CSV. One of ndjson, csv.
	Format string
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Whether the rules have decided about it.
	Processed *bool
	// The rule's id.
	Rule string
	// Within so many metres of a place: `longitude,latitude,metres`. Events say where by `metadata.location`, a GeoJSON Point.
	Near string
	// By the event's time: `-timestamp` is the newest first, `timestamp` the oldest. One of -timestamp, timestamp.
	Sort string
	// Only these fields: paths with commas between them, at most 50. `event_id` and `timestamp` are always there.
	Fields string
	// At most so many events.
	Limit int64
	// The `cursor` of an export that was cut, or the `next_cursor` of a list, with the same `sort`.
	Cursor string
}

// ExportEvents: Export events.
//
// GET /api/v1/events/export, for the role user.
//
// All events that match, as JSON lines or CSV, sent as they are read: a million take no more memory than a thousand. The filters are
// those of `GET /api/v1/events`. CSV is also what `Accept: text/csv` asks for; its columns are `fields`, in their order.
//
// **Whole or not**: the trailer `X-Export-Events` has the number of events of a whole export. One that ends before has a last line
// that says so, `{"error": {"code": …, "detail": …, "events": 1234, "cursor": …}}` or `# cut after 1234 events …`, and the connection
// is broken off, so that clients fail (curl with exit code 18). Go on behind the last event with its `cursor`. A connection that breaks
// by itself has no such line. It also ends so when its key is revoked. A process makes four exports at once, two for each key.
//
// In CSV a text that a spreadsheet would take for a formula (it begins with `=`, `+`, `-` or `@`, and is no number) has an
// apostrophe before it, and a cell that begins with `#` is in quotes.
//
// The answer is application/x-ndjson or text/csv, to be read as it comes; the caller closes its body.
func (c *Client) ExportEvents(ctx context.Context, p ExportEventsParams) (*http.Response, error) {
	query := url.Values{}
	add(query, "format", p.Format)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "processed", p.Processed)
	add(query, "rule", p.Rule)
	add(query, "near", p.Near)
	add(query, "sort", p.Sort)
	add(query, "fields", p.Fields)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	return c.stream(ctx, request{method: http.MethodGet, path: "/api/v1/events/export", query: query})
}

// GetEvent: Read one event.
//
// GET /api/v1/events/{event_id}, for the role user.
//
// The stored event, with the rules that matched it once they have decided (`processed`).
func (c *Client) GetEvent(ctx context.Context, eventID string) (Event, error) {
	var answer Event
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/events/" + url.PathEscape(eventID)}, &answer)
	return answer, err
}

// StreamEventsParams are what StreamEvents may be asked with; zero values are not sent.
type StreamEventsParams struct {
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// Only these fields: paths with commas between them, at most 50. `event_id` and `timestamp` are always there.
	Fields string
	// The `id` of the last frame that you saw; browsers send it by themselves.
	LastEventID string
	// A ticket of `POST /api/v1/stream/ticket` in place of the key.
	Ticket string
}

// StreamEvents: Follow events live.
//
// GET /api/v1/stream/events, for the role user.
//
// Server-sent events: every event that is stored from now on and matches, until you close the connection. Each frame has an `id`; a
// client that sends the last one back as `Last-Event-ID` continues after it, to any api process, without loss or repeat, as far as the
// database's history reaches. Where it does not, there is a `gap`, and never a silent one.
//
// | frame | data |
// |---|---|
// | `event: event` | a stored event |
// | `event: gap` | `{"from": …, "to": …}`: what was stored between is not told; read it by `GET /api/v1/events?from=…&filter={"created_at": {"$gte": {"$date": …}, "$lte": {"$date": …}}}`, with `from` as far before the gap as events may come late |
// | `event: waiting` | `{}`: you resume from afar, and as many others as may do so at once come first; said again every 5 s until it is your turn |
// | `event: slow_consumer` | you fell behind and were let go; reconnect with `Last-Event-ID` |
// | only `id:` | the stream's position: the first frame, and while you hear of nothing else |
//
// The answer is text/event-stream, to be read as it comes; the caller closes its body.
func (c *Client) StreamEvents(ctx context.Context, p StreamEventsParams) (*http.Response, error) {
	query := url.Values{}
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "fields", p.Fields)
	add(query, "ticket", p.Ticket)
	header := http.Header{}
	add(header, "Last-Event-ID", p.LastEventID)
	return c.stream(ctx, request{method: http.MethodGet, path: "/api/v1/stream/events", query: query, header: header, accept: "text/event-stream"})
}

// StreamMetricsParams are what StreamMetrics may be asked with; zero values are not sent.
type StreamMetricsParams struct {
	// Only this kind. One of EVENTS_COUNT, ERROR_RATE, RESPONSE_TIME.
	MetricType string
	// Only windows of this length. One of 1m, 5m, 1h, 1d.
	Period string
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// The events' `metadata.region`; empty: those without one.
	Region *string
	// Only these fields: paths with commas between them, at most 50. `event_id` and `timestamp` are always there.
	Fields string
	// The `id` of the last frame that you saw; browsers send it by themselves.
	LastEventID string
	// A ticket of `POST /api/v1/stream/ticket` in place of the key.
	Ticket string
}

// StreamMetrics: Follow metrics live.
//
// GET /api/v1/stream/metrics, for the role user.
//
// Server-sent events as of `/stream/events`: each window of metrics when it is made, and again when late events change it (`event: metric`).
//
// The answer is text/event-stream, to be read as it comes; the caller closes its body.
func (c *Client) StreamMetrics(ctx context.Context, p StreamMetricsParams) (*http.Response, error) {
	query := url.Values{}
	add(query, "metric_type", p.MetricType)
	add(query, "period", p.Period)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "region", p.Region)
	add(query, "fields", p.Fields)
	add(query, "ticket", p.Ticket)
	header := http.Header{}
	add(header, "Last-Event-ID", p.LastEventID)
	return c.stream(ctx, request{method: http.MethodGet, path: "/api/v1/stream/metrics", query: query, header: header, accept: "text/event-stream"})
}

// StreamNotificationsParams are what StreamNotifications may be asked with; zero values are not sent.
type StreamNotificationsParams struct {
	// Where it stands.
	Status NotificationStatus
	// Why it was suppressed.
	Reason string
	// The rule's id.
	Rule string
	// The event that it is about.
	EventID string
	// Only these fields: paths with commas between them, at most 50. `event_id` and `timestamp` are always there.
	Fields string
	// The `id` of the last frame that you saw; browsers send it by themselves.
	LastEventID string
	// A ticket of `POST /api/v1/stream/ticket` in place of the key.
	Ticket string
}

// StreamNotifications: Follow notifications live.
//
// GET /api/v1/stream/notifications, for the role user.
//
// Server-sent events as of `/stream/events`: each notification when it is made and after each change, as it is then (`event: notification`); changes in quick succession may show the last one twice.
//
// The answer is text/event-stream, to be read as it comes; the caller closes its body.
func (c *Client) StreamNotifications(ctx context.Context, p StreamNotificationsParams) (*http.Response, error) {
	query := url.Values{}
	add(query, "status", string(p.Status))
	add(query, "reason", p.Reason)
	add(query, "rule", p.Rule)
	add(query, "event_id", p.EventID)
	add(query, "fields", p.Fields)
	add(query, "ticket", p.Ticket)
	header := http.Header{}
	add(header, "Last-Event-ID", p.LastEventID)
	return c.stream(ctx, request{method: http.MethodGet, path: "/api/v1/stream/notifications", query: query, header: header, accept: "text/event-stream"})
}

// StreamLagParams are what StreamLag may be asked with; zero values are not sent.
type StreamLagParams struct {
	// A ticket of `POST /api/v1/stream/ticket` in place of the key.
	Ticket string
}

// StreamLag: Follow the lag of each stage.
//
// GET /api/v1/stream/lag, for the role user.
//
// Server-sent events: the answer of `GET /lag` every two seconds (`event: lag`). It is a figure of now, so there is nothing to resume.
//
// The answer is text/event-stream, to be read as it comes; the caller closes its body.
func (c *Client) StreamLag(ctx context.Context, p StreamLagParams) (*http.Response, error) {
	query := url.Values{}
	add(query, "ticket", p.Ticket)
	return c.stream(ctx, request{method: http.MethodGet, path: "/api/v1/stream/lag", query: query, accept: "text/event-stream"})
}

// CreateTicket: Get a ticket for a live connection.
//
// POST /api/v1/stream/ticket, for the role user.
//
// Browsers cannot send a header with an EventSource or a WebSocket, and a key in a URL ends up in logs. A ticket opens one live
// connection as `?ticket=` in place of the key, within 30 seconds, on any api process. The connection ends when the key is revoked.
func (c *Client) CreateTicket(ctx context.Context) (CreateTicketAnswer, error) {
	var answer CreateTicketAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/stream/ticket"}, &answer)
	return answer, err
}

// OpenSocketParams are what OpenSocket may be asked with; zero values are not sent.
type OpenSocketParams struct {
	// A ticket of `POST /api/v1/stream/ticket` in place of the key.
	Ticket string
}

// OpenSocket: Follow live streams on a WebSocket.
//
// GET /api/v1/ws/events, for the role user.
//
// The live streams for clients that change their filter, or follow several, on one connection; also at `/ws/events`. Every message is
// a JSON text. You say:
//
// | type | with |
// |---|---|
// | `subscribe` | `subscription`: a name of yours; `stream`: `events` (default), `metrics` or `notifications`; `filter`: a condition (events only); `parameters`: the plain parameters of the stream's route, all as strings; `fields`: a list of paths; `resume`: an id to continue after |
// | `filter` | `subscription`, and the new `filter`, `parameters` and `fields`, from the next event on |
// | `unsubscribe` | `subscription` |
// | `ping` | |
//
// You hear, with `subscription`:
//
// | type | with |
// |---|---|
// | `subscribed` | it begins, or its filter was changed |
// | `event`, `metric`, `notification` | `id`, `data` |
// | `position` | `id`: the first after `subscribed`, and while you hear of nothing else |
// | `gap` | `id`, `data`: `{"from": …, "to": …}` |
// | `waiting` | `id`: it resumes from afar, and others come first; said again every 5 s until it is its turn |
// | `slow_consumer` | the subscription ended; subscribe again with `resume` |
// | `unsubscribed` | it ended |
// | `pong` | |
// | `error` | `code`, `message`, `errors` |
//
// A socket has at most 16 subscriptions and may say 20 things a second. A page may open one on its own host, or on that of
// `api.public_url`.
func (c *Client) OpenSocket(ctx context.Context, p OpenSocketParams) error {
	query := url.Values{}
	add(query, "ticket", p.Ticket)
	return c.call(ctx, request{method: http.MethodGet, path: "/api/v1/ws/events", query: query}, nil)
}

// ListRulesParams are what ListRules may be asked with; zero values are not sent.
type ListRulesParams struct {
	// The rule's exact name; with it `limit` and `cursor` say nothing.
	Name string
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListRules: List rules.
//
// GET /api/v1/rules, for the role user.
//
// All rules by id, or the one of a name. Secrets in actions show as `********`.
func (c *Client) ListRules(ctx context.Context, p ListRulesParams) (RulePage, error) {
	query := url.Values{}
	add(query, "name", p.Name)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer RulePage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules", query: query}, &answer)
	return answer, err
}

// AllRules goes through all pages of ListRules; it ends with the first error.
func (c *Client) AllRules(ctx context.Context, p ListRulesParams) iter.Seq2[Rule, error] {
	return pages(p.Cursor, func(cursor string) ([]Rule, string, error) {
		p.Cursor = cursor
		page, err := c.ListRules(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// CreateRuleParams are what CreateRule may be asked with; zero values are not sent.
type CreateRuleParams struct {
	// Make the index that a rule's window needs. Where there are many events that takes minutes; the request waits for five of them, beside its own time.
	CreateIndexes bool
}

// CreateRule: Create a rule.
//
// POST /api/v1/rules, for the role admin.
//
// Saves a rule; workers use it within two seconds. A rule that cannot be right is refused with every reason: a misspelt operator, an
// action's missing URL, a template that does not exist. Try it first with `POST /api/v1/rules/test` and `/rules/backtest`, or save it with
// `"mode": "shadow"`: then it decides and records, and does nothing.
func (c *Client) CreateRule(ctx context.Context, p CreateRuleParams, body NewRule) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules", query: query, body: body}, &answer)
	return answer, err
}

// CreateRuleWith is CreateRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) CreateRuleWith(ctx context.Context, p CreateRuleParams, body Body) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules", query: query, body: body}, &answer)
	return answer, err
}

// ImportRulesParams are what ImportRules may be asked with; zero values are not sent.
type ImportRulesParams struct {
	// Make the index that a rule's window needs. Where there are many events that takes minutes; the request waits for five of them, beside its own time.
	CreateIndexes bool
}

// ImportRules: Save many rules, or none.
//
// POST /api/v1/rules/import, for the role admin.
//
// A JSON array, JSON lines, or YAML; what it is follows from the text. A rule is known by its `rule_id`, else by its name. All are
// saved in one go, or none; a mistake is named with its line. What is already so gets no new version, so importing twice changes nothing.
// YAML has at most 2 MiB.
func (c *Client) ImportRules(ctx context.Context, p ImportRulesParams, body []NewRule) (ImportedRules, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	var answer ImportedRules
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/import", query: query, body: body}, &answer)
	return answer, err
}

// ImportRulesWith is ImportRules with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) ImportRulesWith(ctx context.Context, p ImportRulesParams, body Body) (ImportedRules, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	var answer ImportedRules
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/import", query: query, body: body}, &answer)
	return answer, err
}

// GetRulesStatusParams are what GetRulesStatus may be asked with; zero values are not sent.
type GetRulesStatusParams struct {
	// The rule's id.
	Rule string
}

// GetRulesStatus: Which rules the workers hold.
//
// GET /api/v1/rules/status, for the role user.
//
// Each rule-worker, whether its rules are `current`, `behind` (has not read the last change yet), `other` (holds something else) or
// whether it is `silent`, and the rules that it cannot compile. `?rule=` says which version of one rule each worker holds, or why none.
func (c *Client) GetRulesStatus(ctx context.Context, p GetRulesStatusParams) (RulesStatus, error) {
	query := url.Values{}
	add(query, "rule", p.Rule)
	var answer RulesStatus
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/status", query: query}, &answer)
	return answer, err
}

// GetRuleMatchesParams are what GetRuleMatches may be asked with; zero values are not sent.
type GetRuleMatchesParams struct {
	// Ids of 1 to 200 rules, with commas between them. It is required.
	Rules string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Numbers of each sparkline.
	Slots int64
}

// GetRuleMatches: How often rules matched, over time.
//
// GET /api/v1/rules/matches, for the role user.
//
// The events of a range that each of some rules matched, also in shadow mode, by the events' `timestamp`, in slots of the same length. Of 31
// days at most, and of events that are still stored. A rule that nobody knows has matched nothing.
func (c *Client) GetRuleMatches(ctx context.Context, p GetRuleMatchesParams) (RuleMatches, error) {
	query := url.Values{}
	add(query, "rules", p.Rules)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "slots", p.Slots)
	var answer RuleMatches
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/matches", query: query}, &answer)
	return answer, err
}

// TestRule: Try a rule on events.
//
// POST /api/v1/rules/test, for the role user.
//
// A stored rule, a draft, or a condition alone, on up to 100 events: ids of stored ones, or documents that you paste. Each clause gets a
// verdict with what it expected and what it found. Nothing is saved and nothing is sent.
func (c *Client) TestRule(ctx context.Context, body RuleTest) (RuleTested, error) {
	var answer RuleTested
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/test", body: body}, &answer)
	return answer, err
}

// TestRuleWith is TestRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) TestRuleWith(ctx context.Context, body Body) (RuleTested, error) {
	var answer RuleTested
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/test", body: body}, &answer)
	return answer, err
}

// BacktestRule: What a rule would have done.
//
// POST /api/v1/rules/backtest, for the role user.
//
// Searches stored events of a range (the last 24 hours, at most 400 days) for what a stored rule, a draft or a condition would have matched:
// matches by hour, samples, alerts of its window, what throttles, groups, silences and mute times would have left, and with
// `compare_with_live` the difference to the rule of that id or name as it is now. A search that takes too long is cut; `cut` says so.
//
// With `Accept: application/x-ndjson` the answer is lines: `{"progress": …}` from time to time, and at last `{"result": …}` or
// `{"problem": …}`. Two back-tests run at once.
func (c *Client) BacktestRule(ctx context.Context, body BacktestRequest) (BacktestReport, error) {
	var answer BacktestReport
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/backtest", body: body}, &answer)
	return answer, err
}

// BacktestRuleWith is BacktestRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) BacktestRuleWith(ctx context.Context, body Body) (BacktestReport, error) {
	var answer BacktestReport
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/backtest", body: body}, &answer)
	return answer, err
}

// BacktestRuleStream is BacktestRule answered as application/x-ndjson, as it comes; the caller closes its body.
func (c *Client) BacktestRuleStream(ctx context.Context, body BacktestRequest) (*http.Response, error) {
	return c.stream(ctx, request{method: http.MethodPost, path: "/api/v1/rules/backtest", body: body, accept: "application/x-ndjson"})
}

// GetRule: Read a rule.
//
// GET /api/v1/rules/{rule_id}, for the role user.
//
// The rule as it is now, its version in the `ETag`. Secrets show as `********` and may be sent back so.
func (c *Client) GetRule(ctx context.Context, ruleID string) (Rule, error) {
	var answer Rule
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/" + url.PathEscape(ruleID)}, &answer)
	return answer, err
}

// ReplaceRuleParams are what ReplaceRule may be asked with; zero values are not sent.
type ReplaceRuleParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
	// Make the index that a rule's window needs. Where there are many events that takes minutes; the request waits for five of them, beside its own time.
	CreateIndexes bool
}

// ReplaceRule: Replace a rule.
//
// PUT /api/v1/rules/{rule_id}, for the role admin.
//
// Saves the next version; the old ones stay. What an answer holds may be sent back: version, times and author are ignored, and
// `********` keeps the stored secret.
func (c *Client) ReplaceRule(ctx context.Context, ruleID string, p ReplaceRuleParams, body NewRule) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPut, path: "/api/v1/rules/" + url.PathEscape(ruleID), query: query, header: header, body: body}, &answer)
	return answer, err
}

// ReplaceRuleWith is ReplaceRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) ReplaceRuleWith(ctx context.Context, ruleID string, p ReplaceRuleParams, body Body) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPut, path: "/api/v1/rules/" + url.PathEscape(ruleID), query: query, header: header, body: body}, &answer)
	return answer, err
}

// PatchRuleParams are what PatchRule may be asked with; zero values are not sent.
type PatchRuleParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
	// Make the index that a rule's window needs. Where there are many events that takes minutes; the request waits for five of them, beside its own time.
	CreateIndexes bool
}

// PatchRule: Change some fields of a rule.
//
// PATCH /api/v1/rules/{rule_id}, for the role admin.
//
// A JSON merge (RFC 7396) of the top-level fields: what is given replaces what is there, `null` removes it. `conditions` and `actions` are
// replaced whole.
func (c *Client) PatchRule(ctx context.Context, ruleID string, p PatchRuleParams, body RulePatch) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/rules/" + url.PathEscape(ruleID), query: query, header: header, body: body}, &answer)
	return answer, err
}

// PatchRuleWith is PatchRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PatchRuleWith(ctx context.Context, ruleID string, p PatchRuleParams, body Body) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/rules/" + url.PathEscape(ruleID), query: query, header: header, body: body}, &answer)
	return answer, err
}

// DeleteRuleParams are what DeleteRule may be asked with; zero values are not sent.
type DeleteRuleParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// DeleteRule: Delete a rule.
//
// DELETE /api/v1/rules/{rule_id}, for the role admin.
//
// The rule acts no more. Its versions stay readable, and `POST …/rollback` brings it back.
func (c *Client) DeleteRule(ctx context.Context, ruleID string, p DeleteRuleParams) error {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	return c.call(ctx, request{method: http.MethodDelete, path: "/api/v1/rules/" + url.PathEscape(ruleID), header: header}, nil)
}

// ListRuleVersionsParams are what ListRuleVersions may be asked with; zero values are not sent.
type ListRuleVersionsParams struct {
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListRuleVersions: List a rule's versions.
//
// GET /api/v1/rules/{rule_id}/versions, for the role user.
//
// The newest first, also of a rule that is deleted. Each is the whole rule as it was, and who made it so.
func (c *Client) ListRuleVersions(ctx context.Context, ruleID string, p ListRuleVersionsParams) (RuleVersionPage, error) {
	query := url.Values{}
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer RuleVersionPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/versions", query: query}, &answer)
	return answer, err
}

// AllRuleVersions goes through all pages of ListRuleVersions; it ends with the first error.
func (c *Client) AllRuleVersions(ctx context.Context, ruleID string, p ListRuleVersionsParams) iter.Seq2[RuleVersion, error] {
	return pages(p.Cursor, func(cursor string) ([]RuleVersion, string, error) {
		p.Cursor = cursor
		page, err := c.ListRuleVersions(ctx, ruleID, p)
		return page.Items, page.NextCursor, err
	})
}

// GetRuleVersion: Read one version of a rule.
//
// GET /api/v1/rules/{rule_id}/versions/{version}, for the role user.
//
// The whole rule as it was in that version.
func (c *Client) GetRuleVersion(ctx context.Context, ruleID string, version int64) (RuleVersion, error) {
	var answer RuleVersion
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/versions/" + number(version)}, &answer)
	return answer, err
}

// DiffRuleParams are what DiffRule may be asked with; zero values are not sent.
type DiffRuleParams struct {
	// The older version; the one before `to` when it is not given.
	From int64
	// The newer version; the newest when it is not given.
	To int64
}

// DiffRule: Compare two versions of a rule.
//
// GET /api/v1/rules/{rule_id}/diff, for the role user.
//
// What was changed from one version to another, by JSON pointer. Changed secrets are named, and not shown.
func (c *Client) DiffRule(ctx context.Context, ruleID string, p DiffRuleParams) (RuleDiff, error) {
	query := url.Values{}
	add(query, "from", p.From)
	add(query, "to", p.To)
	var answer RuleDiff
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/diff", query: query}, &answer)
	return answer, err
}

// RollBackRuleParams are what RollBackRule may be asked with; zero values are not sent.
type RollBackRuleParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
	// Make the index that a rule's window needs. Where there are many events that takes minutes; the request waits for five of them, beside its own time.
	CreateIndexes bool
}

// RollBackRule: Go back to an old version.
//
// POST /api/v1/rules/{rule_id}/rollback, for the role admin.
//
// Saves the content of an old version as a new one, and brings back a deleted rule. A rule that already has that content stays as it is.
func (c *Client) RollBackRule(ctx context.Context, ruleID string, p RollBackRuleParams, body RollBackRuleBody) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/rollback", query: query, header: header, body: body}, &answer)
	return answer, err
}

// RollBackRuleWith is RollBackRule with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) RollBackRuleWith(ctx context.Context, ruleID string, p RollBackRuleParams, body Body) (Rule, error) {
	query := url.Values{}
	add(query, "create_indexes", p.CreateIndexes)
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Rule
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/rollback", query: query, header: header, body: body}, &answer)
	return answer, err
}

// ExplainRuleParams are what ExplainRule may be asked with; zero values are not sent.
type ExplainRuleParams struct {
	// The event_id of a stored event. It is required.
	Event string
}

// ExplainRule: Why a rule did, or did not do, something about an event.
//
// GET /api/v1/rules/{rule_id}/explain, for the role user.
//
// The whole story in order: which version decided, each clause of its condition, its window, what held it back, each attempt of
// delivery. `text` says it in one line.
func (c *Client) ExplainRule(ctx context.Context, ruleID string, p ExplainRuleParams) (Explained, error) {
	query := url.Values{}
	add(query, "event", p.Event)
	var answer Explained
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/explain", query: query}, &answer)
	return answer, err
}

// ExplainDraft: What a draft of a rule would do about an event.
//
// POST /api/v1/rules/{rule_id}/explain, for the role user.
//
// The same story for a rule or a condition that is not saved; nothing is saved or sent.
func (c *Client) ExplainDraft(ctx context.Context, ruleID string, body DraftExplanation) (Explained, error) {
	var answer Explained
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/explain", body: body}, &answer)
	return answer, err
}

// ExplainDraftWith is ExplainDraft with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) ExplainDraftWith(ctx context.Context, ruleID string, body Body) (Explained, error) {
	var answer Explained
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/explain", body: body}, &answer)
	return answer, err
}

// TryActionParams are what TryAction may be asked with; zero values are not sent.
type TryActionParams struct {
	// A stored event.
	EventID string
}

// TryAction: Carry out one action once.
//
// POST /api/v1/rules/{rule_id}/actions/{n}/try, for the role admin.
//
// Sends one notification by the way that all go, and says what came of its first attempt. It is about the named event, else about the
// newest that the rule matched. It is marked as a `trial` and counts as no match.
func (c *Client) TryAction(ctx context.Context, ruleID string, n int64, p TryActionParams) (Notification, error) {
	query := url.Values{}
	add(query, "event_id", p.EventID)
	var answer Notification
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/rules/" + url.PathEscape(ruleID) + "/actions/" + number(n) + "/try", query: query}, &answer)
	return answer, err
}

// ListActionTypes: List what actions can be.
//
// GET /api/v1/action-types, for the role user.
//
// Each type with the JSON Schema of its `config`, the queues that actions may name, and the functions of templates.
func (c *Client) ListActionTypes(ctx context.Context) (ActionTypes, error) {
	var answer ActionTypes
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/action-types"}, &answer)
	return answer, err
}

// ListChannels: List the ways to people.
//
// GET /api/v1/channels, for the role user.
//
// The channels that the operators configured, without their URLs, which are secrets.
func (c *Client) ListChannels(ctx context.Context) (ListChannelsAnswer, error) {
	var answer ListChannelsAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/channels"}, &answer)
	return answer, err
}

// TraceEvent: Follow an event through the product.
//
// GET /api/v1/events/{event_id}/trace, for the role user.
//
// What became of an event, as a tree: its batch with the time of each stage, the rules that matched, the notifications that each owes
// for it, and every attempt to deliver them. Beside it what led to the event, what it led to (such as the outcomes of its deliveries),
// and the other events of its trace, the oldest first.
func (c *Client) TraceEvent(ctx context.Context, eventID string) (Trace, error) {
	var answer Trace
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/events/" + url.PathEscape(eventID) + "/trace"}, &answer)
	return answer, err
}

// ListNotificationsParams are what ListNotifications may be asked with; zero values are not sent.
type ListNotificationsParams struct {
	// Where it stands.
	Status NotificationStatus
	// Why it was suppressed: `shadow`, `silenced`, `muted`, `paused`, `throttled`, `grouped`, `disabled`, `target_disabled`, `cancelled`.
	Reason string
	// The id of the silence, throttle or group that holds it back.
	HeldBy string
	// The id of the replay that made it.
	Replay string
	// The rule's id.
	Rule string
	// The event that it is about.
	EventID string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListNotifications: Find notifications.
//
// GET /api/v1/notifications, for the role user.
//
// What rules owed, the newest first, with every attempt; also what was held back (`status=suppressed`) and why.
func (c *Client) ListNotifications(ctx context.Context, p ListNotificationsParams) (NotificationPage, error) {
	query := url.Values{}
	add(query, "status", string(p.Status))
	add(query, "reason", p.Reason)
	add(query, "held_by", p.HeldBy)
	add(query, "replay", p.Replay)
	add(query, "rule", p.Rule)
	add(query, "event_id", p.EventID)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer NotificationPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/notifications", query: query}, &answer)
	return answer, err
}

// AllNotifications goes through all pages of ListNotifications; it ends with the first error.
func (c *Client) AllNotifications(ctx context.Context, p ListNotificationsParams) iter.Seq2[Notification, error] {
	return pages(p.Cursor, func(cursor string) ([]Notification, string, error) {
		p.Cursor = cursor
		page, err := c.ListNotifications(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// RetryNotifications: Try many notifications again.
//
// POST /api/v1/notifications/retry, for the role admin.
//
// All that are dead or suppressed and fit, the newest first, up to 1,000: as after an endpoint was enabled again. `complete` is false when
// the limit ended it; then the same request goes on.
func (c *Client) RetryNotifications(ctx context.Context, body NotificationsRetry) (RetryNotificationsAnswer, error) {
	var answer RetryNotificationsAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/notifications/retry", body: body}, &answer)
	return answer, err
}

// RetryNotificationsWith is RetryNotifications with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) RetryNotificationsWith(ctx context.Context, body Body) (RetryNotificationsAnswer, error) {
	var answer RetryNotificationsAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/notifications/retry", body: body}, &answer)
	return answer, err
}

// GetNotification: Read one notification.
//
// GET /api/v1/notifications/{notification_id}, for the role user.
//
// Where it stands, with every attempt.
func (c *Client) GetNotification(ctx context.Context, notificationID string) (Notification, error) {
	var answer Notification
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/notifications/" + url.PathEscape(notificationID)}, &answer)
	return answer, err
}

// RetryNotificationParams are what RetryNotification may be asked with; zero values are not sent.
type RetryNotificationParams struct {
	// Call once more whatever its status is.
	Force bool
}

// RetryNotification: Try a notification again.
//
// POST /api/v1/notifications/{notification_id}/retry, for the role admin.
//
// What is dead or suppressed becomes pending, with a schedule that begins anew; what waits for its next attempt is hurried. With
// `force=true` what is delivered is called once more, under the same `webhook-id`.
func (c *Client) RetryNotification(ctx context.Context, notificationID string, p RetryNotificationParams) (Notification, error) {
	query := url.Values{}
	add(query, "force", p.Force)
	var answer Notification
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/notifications/" + url.PathEscape(notificationID) + "/retry", query: query}, &answer)
	return answer, err
}

// CancelNotification: Cancel a notification.
//
// POST /api/v1/notifications/{notification_id}/cancel, for the role admin.
//
// One that waits for its next attempt is suppressed, with the reason `cancelled`, and a `NOTIFICATION_DELIVERY` event says so. A first attempt that is under way cannot be stopped.
func (c *Client) CancelNotification(ctx context.Context, notificationID string) (Notification, error) {
	var answer Notification
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/notifications/" + url.PathEscape(notificationID) + "/cancel"}, &answer)
	return answer, err
}

// ListTemplatesParams are what ListTemplates may be asked with; zero values are not sent.
type ListTemplatesParams struct {
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListTemplates: List templates.
//
// GET /api/v1/templates, for the role user.
//
// By name.
func (c *Client) ListTemplates(ctx context.Context, p ListTemplatesParams) (TemplatePage, error) {
	query := url.Values{}
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer TemplatePage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/templates", query: query}, &answer)
	return answer, err
}

// AllTemplates goes through all pages of ListTemplates; it ends with the first error.
func (c *Client) AllTemplates(ctx context.Context, p ListTemplatesParams) iter.Seq2[Template, error] {
	return pages(p.Cursor, func(cursor string) ([]Template, string, error) {
		p.Cursor = cursor
		page, err := c.ListTemplates(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// GetTemplate: Read a template.
//
// GET /api/v1/templates/{name}, for the role user.
//
// The template as it is now, its version in the `ETag`.
func (c *Client) GetTemplate(ctx context.Context, name string) (Template, error) {
	var answer Template
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/templates/" + url.PathEscape(name)}, &answer)
	return answer, err
}

// PutTemplateParams are what PutTemplate may be asked with; zero values are not sent.
type PutTemplateParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// PutTemplate: Create or replace a template.
//
// PUT /api/v1/templates/{name}, for the role admin.
//
// Go templates; nothing that an event brings can break HTML or a mail's header. `GET /api/v1/action-types` lists the functions. Preview it
// before you save it.
func (c *Client) PutTemplate(ctx context.Context, name string, p PutTemplateParams, body NewTemplate) (Template, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Template
	err := c.call(ctx, request{method: http.MethodPut, path: "/api/v1/templates/" + url.PathEscape(name), header: header, body: body}, &answer)
	return answer, err
}

// PutTemplateWith is PutTemplate with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PutTemplateWith(ctx context.Context, name string, p PutTemplateParams, body Body) (Template, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Template
	err := c.call(ctx, request{method: http.MethodPut, path: "/api/v1/templates/" + url.PathEscape(name), header: header, body: body}, &answer)
	return answer, err
}

// DeleteTemplateParams are what DeleteTemplate may be asked with; zero values are not sent.
type DeleteTemplateParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// DeleteTemplate: Delete a template.
//
// DELETE /api/v1/templates/{name}, for the role admin.
//
// Unless a rule names it.
func (c *Client) DeleteTemplate(ctx context.Context, name string, p DeleteTemplateParams) error {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	return c.call(ctx, request{method: http.MethodDelete, path: "/api/v1/templates/" + url.PathEscape(name), header: header}, nil)
}

// PreviewTemplateParams are what PreviewTemplate may be asked with; zero values are not sent.
type PreviewTemplateParams struct {
	// A stored event. It is required.
	EventID string
}

// PreviewTemplate: What a template says about an event.
//
// POST /api/v1/templates/{name}/preview, for the role user.
//
// The template of the body, or the stored one when there is no body, filled in for a stored event. Nothing is sent.
func (c *Client) PreviewTemplate(ctx context.Context, name string, p PreviewTemplateParams, body *NewTemplate) (PreviewTemplateAnswer, error) {
	query := url.Values{}
	add(query, "event_id", p.EventID)
	var answer PreviewTemplateAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/templates/" + url.PathEscape(name) + "/preview", query: query, body: body}, &answer)
	return answer, err
}

// PreviewTemplateWith is PreviewTemplate with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PreviewTemplateWith(ctx context.Context, name string, p PreviewTemplateParams, body Body) (PreviewTemplateAnswer, error) {
	query := url.Values{}
	add(query, "event_id", p.EventID)
	var answer PreviewTemplateAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/templates/" + url.PathEscape(name) + "/preview", query: query, body: body}, &answer)
	return answer, err
}

// ListSilencesParams are what ListSilences may be asked with; zero values are not sent.
type ListSilencesParams struct {
	// Where it stands now.
	State SilenceState
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListSilences: List silences.
//
// GET /api/v1/silences, for the role user.
//
// The newest first; also those that are over, for people who ask why they heard nothing.
func (c *Client) ListSilences(ctx context.Context, p ListSilencesParams) (SilencePage, error) {
	query := url.Values{}
	add(query, "state", string(p.State))
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer SilencePage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/silences", query: query}, &answer)
	return answer, err
}

// AllSilences goes through all pages of ListSilences; it ends with the first error.
func (c *Client) AllSilences(ctx context.Context, p ListSilencesParams) iter.Seq2[Silence, error] {
	return pages(p.Cursor, func(cursor string) ([]Silence, string, error) {
		p.Cursor = cursor
		page, err := c.ListSilences(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// CreateSilenceParams are what CreateSilence may be asked with; zero values are not sent.
type CreateSilenceParams struct {
	// Only say what it would hold back.
	DryRun bool
}

// CreateSilence: Silence, or preview a silence.
//
// POST /api/v1/silences, for the role admin.
//
// Holds back notifications about the events that the condition matches, of the named rules or of all, for a while; they are recorded as
// suppressed. With `dry_run=true` nothing is stored, and the answer says what it would have held back in the last hour.
func (c *Client) CreateSilence(ctx context.Context, p CreateSilenceParams, body NewSilence) (CreateSilenceAnswer, error) {
	query := url.Values{}
	add(query, "dry_run", p.DryRun)
	var answer CreateSilenceAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/silences", query: query, body: body}, &answer)
	return answer, err
}

// CreateSilenceWith is CreateSilence with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) CreateSilenceWith(ctx context.Context, p CreateSilenceParams, body Body) (CreateSilenceAnswer, error) {
	query := url.Values{}
	add(query, "dry_run", p.DryRun)
	var answer CreateSilenceAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/silences", query: query, body: body}, &answer)
	return answer, err
}

// GetSilence: Read a silence.
//
// GET /api/v1/silences/{silence_id}, for the role user.
//
// With how many notifications it held back (10,000 at most; nothing is said of it when that cannot be counted in time).
func (c *Client) GetSilence(ctx context.Context, silenceID string) (Silence, error) {
	var answer Silence
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/silences/" + url.PathEscape(silenceID)}, &answer)
	return answer, err
}

// DeleteSilenceParams are what DeleteSilence may be asked with; zero values are not sent.
type DeleteSilenceParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// DeleteSilence: End a silence.
//
// DELETE /api/v1/silences/{silence_id}, for the role admin.
//
// The same as `POST …/expire`. The silence stays readable, since what it held back names it.
func (c *Client) DeleteSilence(ctx context.Context, silenceID string, p DeleteSilenceParams) (Silence, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Silence
	err := c.call(ctx, request{method: http.MethodDelete, path: "/api/v1/silences/" + url.PathEscape(silenceID), header: header}, &answer)
	return answer, err
}

// ExpireSilenceParams are what ExpireSilence may be asked with; zero values are not sent.
type ExpireSilenceParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// ExpireSilence: End a silence now.
//
// POST /api/v1/silences/{silence_id}/expire, for the role admin.
//
// One that is over already stays as it is.
func (c *Client) ExpireSilence(ctx context.Context, silenceID string, p ExpireSilenceParams) (Silence, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Silence
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/silences/" + url.PathEscape(silenceID) + "/expire", header: header}, &answer)
	return answer, err
}

// ListTargetsParams are what ListTargets may be asked with; zero values are not sent.
type ListTargetsParams struct {
	// Its state.
	State TargetState
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListTargets: List targets that are or were held back for.
//
// GET /api/v1/targets, for the role user.
//
// A target is a URL's host or a channel, whose breaker opens when most calls fail, or an endpoint that is disabled because it answered 410 or
// somebody said so. What is not listed works.
func (c *Client) ListTargets(ctx context.Context, p ListTargetsParams) (TargetPage, error) {
	query := url.Values{}
	add(query, "state", string(p.State))
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer TargetPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/targets", query: query}, &answer)
	return answer, err
}

// AllTargets goes through all pages of ListTargets; it ends with the first error.
func (c *Client) AllTargets(ctx context.Context, p ListTargetsParams) iter.Seq2[Target, error] {
	return pages(p.Cursor, func(cursor string) ([]Target, string, error) {
		p.Cursor = cursor
		page, err := c.ListTargets(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// GetTarget: Read a target.
//
// GET /api/v1/targets/{target_id}, for the role user.
//
// Its state, since when, and why.
func (c *Client) GetTarget(ctx context.Context, targetID string) (Target, error) {
	var answer Target
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/targets/" + url.PathEscape(targetID)}, &answer)
	return answer, err
}

// EnableTargetParams are what EnableTarget may be asked with; zero values are not sent.
type EnableTargetParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// EnableTarget: Let a target have calls again.
//
// POST /api/v1/targets/{target_id}/enable, for the role admin.
//
// Enables an endpoint, or closes a breaker by hand. What was suppressed meanwhile stays so until `POST /api/v1/notifications/retry` with
// `{"status": "suppressed", "reason": "target_disabled"}`.
func (c *Client) EnableTarget(ctx context.Context, targetID string, p EnableTargetParams) (Target, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Target
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/targets/" + url.PathEscape(targetID) + "/enable", header: header}, &answer)
	return answer, err
}

// DisableTargetParams are what DisableTarget may be asked with; zero values are not sent.
type DisableTargetParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// DisableTarget: Disable an endpoint.
//
// POST /api/v1/targets/{target_id}/disable, for the role admin.
//
// It gets no calls until it is enabled; what it would have got is suppressed. A breaker cannot be disabled, since it opens and closes by itself.
func (c *Client) DisableTarget(ctx context.Context, targetID string, p DisableTargetParams, body *DisableTargetBody) (Target, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Target
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/targets/" + url.PathEscape(targetID) + "/disable", header: header, body: body}, &answer)
	return answer, err
}

// DisableTargetWith is DisableTarget with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) DisableTargetWith(ctx context.Context, targetID string, p DisableTargetParams, body Body) (Target, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer Target
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/targets/" + url.PathEscape(targetID) + "/disable", header: header, body: body}, &answer)
	return answer, err
}

// ListReplaysParams are what ListReplays may be asked with; zero values are not sent.
type ListReplaysParams struct {
	// Where it stands.
	State ReplayState
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListReplays: List replays.
//
// GET /api/v1/replays, for the role user.
//
// The newest first; those that are over are kept for 90 days.
func (c *Client) ListReplays(ctx context.Context, p ListReplaysParams) (ReplayPage, error) {
	query := url.Values{}
	add(query, "state", string(p.State))
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer ReplayPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/replays", query: query}, &answer)
	return answer, err
}

// AllReplays goes through all pages of ListReplays; it ends with the first error.
func (c *Client) AllReplays(ctx context.Context, p ListReplaysParams) iter.Seq2[Replay, error] {
	return pages(p.Cursor, func(cursor string) ([]Replay, string, error) {
		p.Cursor = cursor
		page, err := c.ListReplays(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// CreateReplay: Decide stored events once more.
//
// POST /api/v1/replays, for the role admin.
//
// The events of a time that the condition matches, in the order of their timestamps, by the chosen rules, or all that are enabled, as they
// are by then. What exists is never made a second time: what is delivered, by any version of the rule, is left alone or, with
// `skip_delivered: false`, called once more under the same `webhook-id`; what is dead begins anew; what is under way or was held back stays
// so. What is new is held back as every match is, but `max_matches_per_hour` neither counts it nor holds it back. Rules with a window cannot
// be chosen, and are left out of "all": their alerts are about many events; `left_out` names them.
//
// The answer is a job that waits for a rule-worker; one works at a time, and 20 may be not over. Each page is saved with the work that it
// stands for, so a job survives the death of its worker.
func (c *Client) CreateReplay(ctx context.Context, body NewReplay) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/replays", body: body}, &answer)
	return answer, err
}

// CreateReplayWith is CreateReplay with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) CreateReplayWith(ctx context.Context, body Body) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/replays", body: body}, &answer)
	return answer, err
}

// GetReplay: Read a replay.
//
// GET /api/v1/replays/{replay_id}, for the role user.
//
// With how far it is, and what it came to for each rule.
func (c *Client) GetReplay(ctx context.Context, replayID string) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/replays/" + url.PathEscape(replayID)}, &answer)
	return answer, err
}

// PauseReplay: Stop a replay where it is.
//
// POST /api/v1/replays/{replay_id}/pause, for the role admin.
//
// When this is answered nothing more is decided; what was is delivered.
func (c *Client) PauseReplay(ctx context.Context, replayID string) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/replays/" + url.PathEscape(replayID) + "/pause"}, &answer)
	return answer, err
}

// ResumeReplay: Let a replay go on.
//
// POST /api/v1/replays/{replay_id}/resume, for the role admin.
//
// Of one that is paused or failed: it goes on from the last page that was saved.
func (c *Client) ResumeReplay(ctx context.Context, replayID string) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/replays/" + url.PathEscape(replayID) + "/resume"}, &answer)
	return answer, err
}

// CancelReplay: End a replay for good.
//
// POST /api/v1/replays/{replay_id}/cancel, for the role admin.
//
// What it made stays.
func (c *Client) CancelReplay(ctx context.Context, replayID string) (Replay, error) {
	var answer Replay
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/replays/" + url.PathEscape(replayID) + "/cancel"}, &answer)
	return answer, err
}

// ListDeadLettersParams are what ListDeadLetters may be asked with; zero values are not sent.
type ListDeadLettersParams struct {
	// The queue that it died in, without `.dead`.
	Queue string
	// Why it is dead, as `invalid`, `permanent` or `exhausted`.
	Reason string
	// The kind of its error.
	ErrorClass string
	// The id of a cause, from the groups.
	Cause string
	// The rule's id.
	Rule string
	// The host that could not be called.
	Target string
	// A type of event in it.
	EventType string
	// The event that it is about.
	EventID string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Only what still lies in its queue.
	Waiting *bool
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListDeadLetters: Find dead letters.
//
// GET /api/v1/dead-letters, for the role user.
//
// As they were recorded, the newest first. `waiting=true` leaves out what was replayed or purged.
func (c *Client) ListDeadLetters(ctx context.Context, p ListDeadLettersParams) (DeadLetterPage, error) {
	query := url.Values{}
	add(query, "queue", p.Queue)
	add(query, "reason", p.Reason)
	add(query, "error_class", p.ErrorClass)
	add(query, "cause", p.Cause)
	add(query, "rule", p.Rule)
	add(query, "target", p.Target)
	add(query, "event_type", p.EventType)
	add(query, "event_id", p.EventID)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "waiting", p.Waiting)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer DeadLetterPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/dead-letters", query: query}, &answer)
	return answer, err
}

// AllDeadLetters goes through all pages of ListDeadLetters; it ends with the first error.
func (c *Client) AllDeadLetters(ctx context.Context, p ListDeadLettersParams) iter.Seq2[DeadLetter, error] {
	return pages(p.Cursor, func(cursor string) ([]DeadLetter, string, error) {
		p.Cursor = cursor
		page, err := c.ListDeadLetters(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// GroupDeadLettersParams are what GroupDeadLetters may be asked with; zero values are not sent.
type GroupDeadLettersParams struct {
	// The queue that it died in, without `.dead`.
	Queue string
	// Why it is dead, as `invalid`, `permanent` or `exhausted`.
	Reason string
	// The kind of its error.
	ErrorClass string
	// The id of a cause.
	Cause string
	// The rule's id.
	Rule string
	// The host that could not be called.
	Target string
	// A type of event in it.
	EventType string
	// The event that it is about.
	EventID string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Only what still lies in its queue (the default).
	Waiting *bool
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
}

// GroupDeadLetters: Dead letters by cause.
//
// GET /api/v1/dead-letters/groups, for the role user.
//
// "1 cause, 4,812 messages, since 10:02": the largest group first, of what waits unless `waiting=false` asks for the whole history. The sums
// are of all groups, also of those beyond the limit.
func (c *Client) GroupDeadLetters(ctx context.Context, p GroupDeadLettersParams) (DeadLetterGroups, error) {
	query := url.Values{}
	add(query, "queue", p.Queue)
	add(query, "reason", p.Reason)
	add(query, "error_class", p.ErrorClass)
	add(query, "cause", p.Cause)
	add(query, "rule", p.Rule)
	add(query, "target", p.Target)
	add(query, "event_type", p.EventType)
	add(query, "event_id", p.EventID)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "waiting", p.Waiting)
	add(query, "limit", p.Limit)
	var answer DeadLetterGroups
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/dead-letters/groups", query: query}, &answer)
	return answer, err
}

// ReplayDeadLetters: Give dead letters back to their queue.
//
// POST /api/v1/dead-letters/replay, for the role admin.
//
// To the queue that they came from, and to no other. It reads the queue itself, so it finds what lies there, whatever is recorded.
// Interrupted at any point nothing is lost; `complete` is false when the limit or the time of a request ended it, and the same request goes
// on. A delivery order goes through its retry schedule from the beginning. `canary` gives back one first, and the others only if that succeeds: it is
// delivered, or (of other queues) its owner has acked it. `to_rule` gives the stored events in them to one rule instead.
func (c *Client) ReplayDeadLetters(ctx context.Context, body DeadLetterReplay) (DeadLetterReplayed, error) {
	var answer DeadLetterReplayed
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/dead-letters/replay", body: body}, &answer)
	return answer, err
}

// ReplayDeadLettersWith is ReplayDeadLetters with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) ReplayDeadLettersWith(ctx context.Context, body Body) (DeadLetterReplayed, error) {
	var answer DeadLetterReplayed
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/dead-letters/replay", body: body}, &answer)
	return answer, err
}

// GetDeadLetter: Read a dead letter.
//
// GET /api/v1/dead-letters/{dead_id}, for the role user.
//
// With the beginning of its body (64 KiB), its secrets masked.
func (c *Client) GetDeadLetter(ctx context.Context, deadID string) (ShownDeadLetter, error) {
	var answer ShownDeadLetter
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/dead-letters/" + url.PathEscape(deadID)}, &answer)
	return answer, err
}

// GetSummaryParams are what GetSummary may be asked with; zero values are not sent.
type GetSummaryParams struct {
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// The events' `metadata.region`; empty: those without one.
	Region *string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// Whether to look at the range before, too.
	Compare *bool
	// Whether to add up response times, too.
	ResponseTimes bool
	// Most values of each dimension.
	Limit int64
}

// GetSummary: Events by type, source, region and level.
//
// GET /api/v1/analytics/summary, for the role user.
//
// What was counted in a range, the last 24 hours unless it is given, beside the range of the same length before. With `type`, `source` and
// `region` alone the answer comes from metrics and is quick over years; it is of whole minutes. Any other filter is asked of the
// events themselves, of 31 days at most. Errors are events of severity 7 and more. Of each dimension the events themselves name 1,000 values
// beside those that metrics name, the first that are read; what is beyond is `other`. The range before has the same names.
func (c *Client) GetSummary(ctx context.Context, p GetSummaryParams) (Summary, error) {
	query := url.Values{}
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "region", p.Region)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "compare", p.Compare)
	add(query, "response_times", p.ResponseTimes)
	add(query, "limit", p.Limit)
	var answer Summary
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/analytics/summary", query: query}, &answer)
	return answer, err
}

// GetTrendsParams are what GetTrends may be asked with; zero values are not sent.
type GetTrendsParams struct {
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// The events' `metadata.region`; empty: those without one.
	Region *string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// Length of the windows; without it as suits the range. At most 1,500 windows. One of 1m, 5m, 1h, 1d.
	Period string
	// What to draw. One of EVENTS_COUNT, ERROR_RATE, RESPONSE_TIME.
	MetricType string
	// A series for each value. One of type, source, region, level.
	By string
	// Most series.
	Series int64
}

// GetTrends: How numbers went, window by window.
//
// GET /api/v1/analytics/trends, for the role user.
//
// Whole windows of a range, also those without events: of all events and, with `by`, of each of the largest groups; the rest is `others`.
// EVENTS_COUNT is the number of events, ERROR_RATE the share of errors, RESPONSE_TIME the mean of `payload.response_time_ms` or
// `payload.duration_ms`, with percentiles that are at most 1.6 % off. Windows without events have no rate and no time. What metrics do not
// know is asked of the events themselves, and their values are named as in the summary.
func (c *Client) GetTrends(ctx context.Context, p GetTrendsParams) (Trends, error) {
	query := url.Values{}
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "region", p.Region)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "period", p.Period)
	add(query, "metric_type", p.MetricType)
	add(query, "by", p.By)
	add(query, "series", p.Series)
	var answer Trends
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/analytics/trends", query: query}, &answer)
	return answer, err
}

// GetTopErrorsParams are what GetTopErrors may be asked with; zero values are not sent.
type GetTopErrorsParams struct {
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// Numbers of each sparkline.
	Slots int64
	// Most causes.
	Limit int64
}

// GetTopErrors: The most frequent errors.
//
// GET /api/v1/analytics/top-errors, for the role user.
//
// Events of severity 7 and more by type and cause, the most frequent first. Their text (`payload.error`, `payload.error.message`,
// `payload.error_message`, `payload.message` or `payload.reason`, the first that is a string) is the same cause when it is the same but for
// numbers, times, ids and addresses. Of 31 days at most.
func (c *Client) GetTopErrors(ctx context.Context, p GetTopErrorsParams) (TopErrors, error) {
	query := url.Values{}
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "slots", p.Slots)
	add(query, "limit", p.Limit)
	var answer TopErrors
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/analytics/top-errors", query: query}, &answer)
	return answer, err
}

// GetUserActivityParams are what GetUserActivity may be asked with; zero values are not sent.
type GetUserActivityParams struct {
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// At least this severity.
	SeverityMin int64
	// At most this severity.
	SeverityMax int64
	// The same as words: info is 1 to 3, warning 4 to 6, error 7 and 8, critical 9 and 10. One of info, warning, error, critical.
	Level string
	// The user that it is about.
	UserID string
	// The session.
	SessionID string
	// The trace.
	TraceID string
	// A condition, as a rule has it: a MongoDB query document as JSON.
	Filter string
	// Windows of a user's timeline; without it as suits the range. One of 1m, 5m, 1h, 1d.
	Period string
	// Most users, or sessions of one.
	Limit int64
}

// GetUserActivity: What users did.
//
// GET /api/v1/analytics/user-activity, for the role user.
//
// Without `user_id` the users with the most events, each with up to 100 types. With it what that user did: a timeline of whole
// windows, counts by type (of 1,000 types, and `other`), and sessions, the latest first, each with up to 100 types. Of 31 days at most.
func (c *Client) GetUserActivity(ctx context.Context, p GetUserActivityParams) (GetUserActivityAnswer, error) {
	query := url.Values{}
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "severity_min", p.SeverityMin)
	add(query, "severity_max", p.SeverityMax)
	add(query, "level", p.Level)
	add(query, "user_id", p.UserID)
	add(query, "session_id", p.SessionID)
	add(query, "trace_id", p.TraceID)
	add(query, "filter", p.Filter)
	add(query, "period", p.Period)
	add(query, "limit", p.Limit)
	var answer GetUserActivityAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/analytics/user-activity", query: query}, &answer)
	return answer, err
}

// ListMetricsParams are what ListMetrics may be asked with; zero values are not sent.
type ListMetricsParams struct {
	// Only this kind. One of EVENTS_COUNT, ERROR_RATE, RESPONSE_TIME.
	MetricType string
	// Only windows of this length. One of 1m, 5m, 1h, 1d.
	Period string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// The event's type, exactly.
	Type string
	// The service that published it.
	Source string
	// The events' `metadata.region`; empty: those without one.
	Region *string
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListMetrics: List metrics.
//
// GET /api/v1/metrics, for the role user.
//
// The materialised metrics, the newest windows first. They are kept for 2 days (1m), 14 days (5m), 90 days (1h) and 2 years (1d). A region
// that events do not name is the empty one; values beyond those that a dimension holds are `other`.
func (c *Client) ListMetrics(ctx context.Context, p ListMetricsParams) (MetricPage, error) {
	query := url.Values{}
	add(query, "metric_type", p.MetricType)
	add(query, "period", p.Period)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "type", p.Type)
	add(query, "source", p.Source)
	add(query, "region", p.Region)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer MetricPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/metrics", query: query}, &answer)
	return answer, err
}

// AllMetrics goes through all pages of ListMetrics; it ends with the first error.
func (c *Client) AllMetrics(ctx context.Context, p ListMetricsParams) iter.Seq2[Metric, error] {
	return pages(p.Cursor, func(cursor string) ([]Metric, string, error) {
		p.Cursor = cursor
		page, err := c.ListMetrics(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// GetLag: How far each stage is behind.
//
// GET /api/v1/lag, for the role user.
//
// Batches that wait for a stage, and for how long the oldest has waited.
func (c *Client) GetLag(ctx context.Context) (GetLagAnswer, error) {
	var answer GetLagAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/lag"}, &answer)
	return answer, err
}

// GetStatus: The balance in one answer.
//
// GET /api/v1/status, for the role user.
//
// Events and notifications by where they stand, dead letters that wait, lag, who holds which lease, live clients of this process.
func (c *Client) GetStatus(ctx context.Context) (Status, error) {
	var answer Status
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/status"}, &answer)
	return answer, err
}

// GetMe: Who I am.
//
// GET /api/v1/users/me, for the role user.
//
// The user of the key, with role, preferences and keys (never the keys themselves), the version in the `ETag`.
func (c *Client) GetMe(ctx context.Context) (User, error) {
	var answer User
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/users/me"}, &answer)
	return answer, err
}

// PatchMeParams are what PatchMe may be asked with; zero values are not sent.
type PatchMeParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// PatchMe: Change my name and preferences.
//
// PATCH /api/v1/users/me, for the role user.
//
// What is not in the body stays. `preferences` choose on which channels (`GET /api/v1/channels`) you are told, and about which event types;
// none chosen is the default channel, and all types. Role and address are an admin's to change.
func (c *Client) PatchMe(ctx context.Context, p PatchMeParams, body OwnChange) (User, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer User
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/users/me", header: header, body: body}, &answer)
	return answer, err
}

// PatchMeWith is PatchMe with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PatchMeWith(ctx context.Context, p PatchMeParams, body Body) (User, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer User
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/users/me", header: header, body: body}, &answer)
	return answer, err
}

// ListUsersParams are what ListUsers may be asked with; zero values are not sent.
type ListUsersParams struct {
	// The one of this address; with it the others say nothing.
	Email string
	// Only those of this role. One of admin, user.
	Role string
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListUsers: List users.
//
// GET /api/v1/users, for the role admin.
//
// All users by address, with their keys (never the keys themselves).
func (c *Client) ListUsers(ctx context.Context, p ListUsersParams) (UserPage, error) {
	query := url.Values{}
	add(query, "email", p.Email)
	add(query, "role", p.Role)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer UserPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/users", query: query}, &answer)
	return answer, err
}

// AllUsers goes through all pages of ListUsers; it ends with the first error.
func (c *Client) AllUsers(ctx context.Context, p ListUsersParams) iter.Seq2[User, error] {
	return pages(p.Cursor, func(cursor string) ([]User, string, error) {
		p.Cursor = cursor
		page, err := c.ListUsers(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// CreateUser: Create a user.
//
// POST /api/v1/users, for the role admin.
//
// A user of role `user` unless you say otherwise. With `key` (also an empty object) the user has an API key from the beginning; the answer
// shows it in `api_key`, once: only its hash is kept. Without, `POST /api/v1/api-keys` makes one later. A user without a key can still be a
// recipient of notifications.
func (c *Client) CreateUser(ctx context.Context, body NewUser) (CreatedUser, error) {
	var answer CreatedUser
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/users", body: body}, &answer)
	return answer, err
}

// CreateUserWith is CreateUser with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) CreateUserWith(ctx context.Context, body Body) (CreatedUser, error) {
	var answer CreatedUser
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/users", body: body}, &answer)
	return answer, err
}

// GetUser: Read a user.
//
// GET /api/v1/users/{user_id}, for the role admin.
//
// The user, the version in the `ETag`.
func (c *Client) GetUser(ctx context.Context, userID string) (User, error) {
	var answer User
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/users/" + url.PathEscape(userID)}, &answer)
	return answer, err
}

// PatchUserParams are what PatchUser may be asked with; zero values are not sent.
type PatchUserParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// PatchUser: Change a user.
//
// PATCH /api/v1/users/{user_id}, for the role admin.
//
// What is not in the body stays. A lower role works at once here, and within two seconds in every other api process. The role of the last
// admin who has a key that works cannot be taken.
func (c *Client) PatchUser(ctx context.Context, userID string, p PatchUserParams, body UserChange) (User, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer User
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/users/" + url.PathEscape(userID), header: header, body: body}, &answer)
	return answer, err
}

// PatchUserWith is PatchUser with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) PatchUserWith(ctx context.Context, userID string, p PatchUserParams, body Body) (User, error) {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	var answer User
	err := c.call(ctx, request{method: http.MethodPatch, path: "/api/v1/users/" + url.PathEscape(userID), header: header, body: body}, &answer)
	return answer, err
}

// DeleteUserParams are what DeleteUser may be asked with; zero values are not sent.
type DeleteUserParams struct {
	// The `ETag` of the version that you changed. Without it the last one wins.
	IfMatch string
}

// DeleteUser: Delete a user.
//
// DELETE /api/v1/users/{user_id}, for the role admin.
//
// Their keys stop working at once here, and within two seconds in every other api process; their live streams end, too. Notifications that name
// them are told to the others. The last admin who has a key that works cannot be deleted.
func (c *Client) DeleteUser(ctx context.Context, userID string, p DeleteUserParams) error {
	header := http.Header{}
	add(header, "If-Match", p.IfMatch)
	return c.call(ctx, request{method: http.MethodDelete, path: "/api/v1/users/" + url.PathEscape(userID), header: header}, nil)
}

// ListKeysParams are what ListKeys may be asked with; zero values are not sent.
type ListKeysParams struct {
	// A user's id; other than your own, for admins alone.
	User string
}

// ListKeys: List API keys.
//
// GET /api/v1/api-keys, for the role user.
//
// Yours, or as an admin anybody's. Of a key there is its prefix, and when it was last used (a minute exact), never the key.
func (c *Client) ListKeys(ctx context.Context, p ListKeysParams) (KeyPage, error) {
	query := url.Values{}
	add(query, "user", p.User)
	var answer KeyPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/api-keys", query: query}, &answer)
	return answer, err
}

// CreateKey: Make an API key.
//
// POST /api/v1/api-keys, for the role user.
//
// A further key of your own, or as an admin of `user_id`. Give each program its own, with a `name` and an `expires_at`: then one can be revoked
// without the others, and one that is forgotten ends by itself.
func (c *Client) CreateKey(ctx context.Context, body NewKey) (MadeKey, error) {
	var answer MadeKey
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/api-keys", body: body}, &answer)
	return answer, err
}

// CreateKeyWith is CreateKey with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) CreateKeyWith(ctx context.Context, body Body) (MadeKey, error) {
	var answer MadeKey
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/api-keys", body: body}, &answer)
	return answer, err
}

// RevokeKey: Revoke an API key.
//
// DELETE /api/v1/api-keys/{key_id}, for the role user.
//
// It stops working at once here, and within two seconds in every other api process. The last key of the last admin cannot be revoked.
func (c *Client) RevokeKey(ctx context.Context, keyID string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/api/v1/api-keys/" + url.PathEscape(keyID)}, nil)
}

// RotateKey: Replace an API key.
//
// POST /api/v1/api-keys/{key_id}/rotate, for the role user.
//
// Makes a key of the same name and the same length of life, and lets the old one expire after `overlap`, so that whoever has it can be given
// the new one meanwhile.
func (c *Client) RotateKey(ctx context.Context, keyID string, body *RotateKeyBody) (MadeKey, error) {
	var answer MadeKey
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/api-keys/" + url.PathEscape(keyID) + "/rotate", body: body}, &answer)
	return answer, err
}

// RotateKeyWith is RotateKey with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) RotateKeyWith(ctx context.Context, keyID string, body Body) (MadeKey, error) {
	var answer MadeKey
	err := c.call(ctx, request{method: http.MethodPost, path: "/api/v1/api-keys/" + url.PathEscape(keyID) + "/rotate", body: body}, &answer)
	return answer, err
}

// ListAuditParams are what ListAudit may be asked with; zero values are not sent.
type ListAuditParams struct {
	// Who: the address of a user.
	By string
	// What was changed: rule, template, silence, target, notification, replay, dead_letter, user, key, secrets.
	Kind string
	// What was done, such as rule.delete; each operation names its own in `x-audit`.
	Action string
	// The id of what was changed.
	Subject string
	// From this time on, inclusive.
	From Time
	// Up to this time, exclusive.
	To Time
	// Items of a page; the most is configured (`api.page_limit`, 500).
	Limit int64
	// The `next_cursor` of the page before, as it is.
	Cursor string
}

// ListAudit: Who changed what.
//
// GET /api/v1/audit, for the role admin.
//
// Each change through the API, the newest first, for a year: who (`by`, an address), what (`kind`, `action`, `subject`), `before` and `after`,
// and the request's id, under which the log has it. It was stored in the transaction of the change, so neither is without the other. Secrets
// show as `********`. An import leaves an entry for each rule that it saved, all of one `request_id`.
func (c *Client) ListAudit(ctx context.Context, p ListAuditParams) (AuditPage, error) {
	query := url.Values{}
	add(query, "by", p.By)
	add(query, "kind", p.Kind)
	add(query, "action", p.Action)
	add(query, "subject", p.Subject)
	add(query, "from", p.From)
	add(query, "to", p.To)
	add(query, "limit", p.Limit)
	add(query, "cursor", p.Cursor)
	var answer AuditPage
	err := c.call(ctx, request{method: http.MethodGet, path: "/api/v1/audit", query: query}, &answer)
	return answer, err
}

// AllAudit goes through all pages of ListAudit; it ends with the first error.
func (c *Client) AllAudit(ctx context.Context, p ListAuditParams) iter.Seq2[AuditEntry, error] {
	return pages(p.Cursor, func(cursor string) ([]AuditEntry, string, error) {
		p.Cursor = cursor
		page, err := c.ListAudit(ctx, p)
		return page.Items, page.NextCursor, err
	})
}

// BeginSession: Sign a browser in.
//
// POST /session, for the role public.
//
// For the dashboard. Exchanges an API key for a session in an HttpOnly, SameSite=Strict cookie, which from then on stands for the key:
// with its user, role and rate, and for as long as the key is in force (`api.session_lifetime` at most). Every change by the cookie
// needs `X-CSRF-Token`. Programs send their key instead.
func (c *Client) BeginSession(ctx context.Context, body BeginSessionBody) (Session, error) {
	var answer Session
	err := c.call(ctx, request{method: http.MethodPost, path: "/session", body: body}, &answer)
	return answer, err
}

// BeginSessionWith is BeginSession with a body as the caller wrote it: whatever it holds reaches the API.
func (c *Client) BeginSessionWith(ctx context.Context, body Body) (Session, error) {
	var answer Session
	err := c.call(ctx, request{method: http.MethodPost, path: "/session", body: body}, &answer)
	return answer, err
}

// GetSession: Whether a browser is signed in.
//
// GET /session, for the role public.
//
// Whose session the cookie is, and the token that changes need.
func (c *Client) GetSession(ctx context.Context) (Session, error) {
	var answer Session
	err := c.call(ctx, request{method: http.MethodGet, path: "/session"}, &answer)
	return answer, err
}

// EndSession: Sign a browser out.
//
// DELETE /session, for the role public.
//
// Ends the session. The browser forgets its cookie, but with 401 and 429.
func (c *Client) EndSession(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/session"}, nil)
}

// GetLivez: Whether the process lives.
//
// GET /livez, for the role public.
//
// Answers as long as the process does, whatever its servers do.
func (c *Client) GetLivez(ctx context.Context) (GetLivezAnswer, error) {
	var answer GetLivezAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/livez"}, &answer)
	return answer, err
}

// GetReadyz: Whether the process can work.
//
// GET /readyz, for the role public.
//
// Not while it starts, stops, or while MongoDB or RabbitMQ is away.
//
// An answer with status 503 is no error here.
func (c *Client) GetReadyz(ctx context.Context) (GetReadyzAnswer, error) {
	var answer GetReadyzAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/readyz", also: []int{503}}, &answer)
	return answer, err
}

// GetHealth: How the process and the pipeline are.
//
// GET /health, for the role public.
//
// `ok`, `degraded` when a stage is behind its budget, or `down` when a server is away.
//
// An answer with status 503 is no error here.
func (c *Client) GetHealth(ctx context.Context) (Health, error) {
	var answer Health
	err := c.call(ctx, request{method: http.MethodGet, path: "/health", also: []int{503}}, &answer)
	return answer, err
}

// GetHealthMongoDB: Whether MongoDB answers.
//
// GET /health/mongodb, for the role public.
//
// This process's own connection to it.
//
// An answer with status 503 is no error here.
func (c *Client) GetHealthMongoDB(ctx context.Context) (HealthComponent, error) {
	var answer HealthComponent
	err := c.call(ctx, request{method: http.MethodGet, path: "/health/mongodb", also: []int{503}}, &answer)
	return answer, err
}

// GetHealthRabbitMQ: Whether RabbitMQ answers.
//
// GET /health/rabbitmq, for the role public.
//
// This process's own connections to it.
//
// An answer with status 503 is no error here.
func (c *Client) GetHealthRabbitMQ(ctx context.Context) (HealthComponent, error) {
	var answer HealthComponent
	err := c.call(ctx, request{method: http.MethodGet, path: "/health/rabbitmq", also: []int{503}}, &answer)
	return answer, err
}

// GetHealthRedis: There is no Redis.
//
// GET /health/redis, for the role public.
//
// For probes of other products; the answer says where to look instead.
//
// An answer with status 404 is no error here.
func (c *Client) GetHealthRedis(ctx context.Context) (GetHealthRedisAnswer, error) {
	var answer GetHealthRedisAnswer
	err := c.call(ctx, request{method: http.MethodGet, path: "/health/redis", also: []int{404}}, &answer)
	return answer, err
}

// GetOpenAPIParams are what GetOpenAPI may be asked with; zero values are not sent.
type GetOpenAPIParams struct {
	// The ETag of the document that you have.
	IfNoneMatch string
}

// GetOpenAPI: This document.
//
// GET /openapi.json, for the role public.
//
// OpenAPI 3.1, for generators and tools; `/docs` shows it to people.
func (c *Client) GetOpenAPI(ctx context.Context, p GetOpenAPIParams) (json.RawMessage, error) {
	header := http.Header{}
	add(header, "If-None-Match", p.IfNoneMatch)
	var answer json.RawMessage
	err := c.call(ctx, request{method: http.MethodGet, path: "/openapi.json", header: header}, &answer)
	return answer, err
}
