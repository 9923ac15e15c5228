package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

// refused is an answer that trying again does not change.
type refused struct{ error }

// status tells an api that is away or full from one that refuses.
func status(code int) error {
	err := fmt.Errorf("the API answered %d", code)
	if code == http.StatusTooManyRequests || code >= http.StatusInternalServerError {
		return err
	}
	return refused{err}
}

// sse reads one connection of server-sent events until it ends.
func (c *Crowd) sse(ctx context.Context, tracks []*track) error {
	t := tracks[0]
	query := url.Values{}
	for name, value := range t.taste.parameters {
		query.Set(name, value)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+"/api/v1/stream/events?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.Key)
	if last := t.position(); last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return status(answer.StatusCode)
	}
	for frame, err := range client.Frames(answer.Body) {
		if err != nil {
			return err
		}
		if err := t.hear(frame.Event, frame.ID, frame.Data); err != nil {
			return refused{err}
		}
	}
	return nil
}

// message is what a socket says and hears.
type message struct {
	Type         string            `json:"type"`
	Subscription string            `json:"subscription,omitempty"`
	Parameters   map[string]string `json:"parameters,omitempty"`
	Fields       []string          `json:"fields,omitempty"`
	Resume       string            `json:"resume,omitempty"`
	ID           string            `json:"id,omitempty"`
	Data         json.RawMessage   `json:"data,omitempty"`
	Code         string            `json:"code,omitempty"`
}

// fields is a parameter of requests, and not one of those in messages.
const fields = "fields"

var errSlow = errors.New("a subscription was too slow")

// socket reads one WebSocket with a subscription for each track until it ends.
func (c *Crowd) socket(ctx context.Context, tracks []*track) error {
	conn, answer, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.Base, "http")+"/ws/events", &websocket.DialOptions{
		HTTPClient: c.sockets, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.Key}}})
	if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
		return status(answer.StatusCode)
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(-1)
	byName := map[string]*track{}
	for i, t := range tracks {
		name := fmt.Sprintf("s%d", i)
		byName[name] = t
		m := message{Type: "subscribe", Subscription: name, Parameters: maps.Clone(t.taste.parameters), Resume: t.position()}
		if list, is := m.Parameters[fields]; is {
			delete(m.Parameters, fields)
			m.Fields = strings.Split(list, ",")
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := conn.Write(ctx, websocket.MessageText, text); err != nil {
			return err
		}
	}
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			return refused{err}
		}
		t := byName[m.Subscription]
		if m.Type == "error" || t == nil {
			return refused{fmt.Errorf("the socket says %s", text)}
		}
		if err := t.hear(m.Type, m.ID, string(m.Data)); err != nil {
			return refused{err}
		}
		if m.Type == "slow_consumer" {
			return errSlow
		}
	}
}
