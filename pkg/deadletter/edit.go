package deadletter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/sjson"

	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// Edit changes the body of a dead letter on its way back to its owner. An error
// keeps it where it is.
type Edit func(id string, body []byte) ([]byte, error)

// ErrNotEditable: only what producers sent can be changed by hand; the messages of
// other queues are the product's own.
var ErrNotEditable = errors.New("only the dead letters of " + topology.Ingest + " can be edited: the messages of other queues are our own; change the rule, or the target, and replay them as they are")

// Set is an edit that puts a value at a path of a JSON body: payload.amount, or
// payload.items.0.sku. The value is JSON, or a text when it is none.
func Set(path, value string) (Edit, error) {
	if path == "" || strings.ContainsAny(path, "*?#@|") {
		return nil, fmt.Errorf("%q is no path; expected names separated by dots, as payload.amount", path)
	}
	raw := []byte(value)
	if !json.Valid(raw) {
		var err error
		if raw, err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return func(_ string, body []byte) ([]byte, error) {
		if !json.Valid(body) {
			return nil, errors.New("its body is no JSON; export it, mend it, and import it")
		}
		return sjson.SetRawBytes(bytes.Clone(body), path, raw)
	}, nil
}

// Edits are edits one after the other.
func Edits(all ...Edit) Edit {
	return func(id string, body []byte) (_ []byte, err error) {
		for _, e := range all {
			if body, err = e(id, body); err != nil {
				return nil, err
			}
		}
		return body, nil
	}
}

// Exported is a dead letter as people edit it: one line of JSON. Body is there
// when the body is JSON, else Text.
type Exported struct {
	DeadID     string          `json:"dead_id"`
	Reason     string          `json:"reason,omitempty"`
	Error      string          `json:"error,omitempty"`
	RoutingKey string          `json:"routing_key,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`
	Text       *string         `json:"body_text,omitempty"`
}

// Export is the letter to be edited; the error is ErrNotEditable, or says that its
// body is neither JSON nor text.
func (l *Letter) Export() (Exported, error) {
	e := Exported{DeadID: l.ID, Reason: l.Reason, Error: l.Error, RoutingKey: l.message.RoutingKey}
	body := l.message.Body
	switch {
	case l.message.ContentEncoding != "":
		return e, fmt.Errorf("dead letter %s: its body is encoded (%s)", l.ID, l.message.ContentEncoding)
	case json.Valid(body):
		e.Body = body
	case utf8.Valid(body):
		text := string(body)
		e.Text = &text
	default:
		return e, fmt.Errorf("dead letter %s: its body is neither JSON nor text", l.ID)
	}
	return e, nil
}

// maxLine bounds one exported letter.
const maxLine = 4 << 20

// Import reads what was exported and edited, JSON lines: the bodies by dead id.
// Errors name the line.
func Import(r io.Reader) (map[string][]byte, error) {
	bodies := map[string][]byte{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var e Exported
		switch err := json.Unmarshal(line, &e); {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case e.DeadID == "":
			return nil, fmt.Errorf("line %d: dead_id is missing; `eactl dlq export` writes it", n)
		case e.Body == nil && e.Text == nil, e.Body != nil && e.Text != nil:
			return nil, fmt.Errorf("line %d: expected body (JSON) or body_text", n)
		case bodies[e.DeadID] != nil:
			return nil, fmt.Errorf("line %d: %s is there twice", n, e.DeadID)
		case e.Text != nil:
			bodies[e.DeadID] = []byte(*e.Text)
		default:
			bodies[e.DeadID] = e.Body
		}
	}
	return bodies, lines.Err()
}
