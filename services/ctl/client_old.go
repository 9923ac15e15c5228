//nolint:unused,unparam // goes when the last command asks by pkg/client
package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// client talks to the API with the key of the environment.
type client struct{ base, key string }

func (t *tool) client() (*client, error) {
	base, key := t.env("EA_API_URL", defaultAPI), t.env("EA_API_KEY", "")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &usageError{errors.New("EA_API_URL is no URL; set it to the api's address, such as " + defaultAPI)}
	}
	if key == "" {
		return nil, &usageError{errors.New("EA_API_KEY is not set; `eactl users create --email you@example.com` makes a key")}
	}
	return &client{base: strings.TrimRight(base, "/") + "/api/v1", key: key}, nil
}

// problem is the API's error.
type problem struct {
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Errors    []flaw `json:"errors"`
}

// flaw is one mistake in a request, or a warning about it.
type flaw struct {
	Pointer   string `json:"pointer"`
	Parameter string `json:"parameter"`
	Message   string `json:"message"`
}

func (p problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("\n  %s%s: %s", e.Pointer, e.Parameter, e.Message)
	}
	if advice := p.advice(); advice != "" {
		text += "\n" + advice
	}
	return text
}

// advice is what to do about an answer that does not say so itself.
func (p problem) advice() string {
	switch {
	case p.Status == http.StatusUnauthorized:
		return "Set EA_API_KEY to a key that is in use; `eactl users create --database` makes one, and `eactl keys create` more of your own."
	case p.Status == http.StatusForbidden:
		return "Use an admin's key; `eactl users create --database --role admin` makes one."
	case p.Status >= http.StatusInternalServerError:
		return "`eactl doctor` tries the servers; the api's log has this under request id " + p.RequestID + "."
	}
	return ""
}

// verdict is the error for the exit code: a request that cannot be right is bad
// usage, an id of nothing is nothing matched.
func (p problem) verdict() error {
	switch p.Status {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", errNothing, p)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return &usageError{p}
	}
	return p
}

// passing says whether the same request may be answered better later.
func (p problem) passing() bool {
	return p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests
}

// send makes a request; the caller closes the body of a good answer.
func (c *client) send(ctx context.Context, method, path string, query url.Values, body []byte, header http.Header) (*http.Response, error) {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("EA_API_URL: %w", err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		var u *url.Error // names the whole address, filter and all
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("the API at %s does not answer: %w\nStart it (`bin/api`), or set EA_API_URL to where it runs", c.base, err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p problem
	if json.Unmarshal(text, &p) != nil || p.Title == "" {
		p = problem{Detail: answer.Status + " from " + c.base + ", which is not this API's way of answering; is EA_API_URL right?"}
	}
	p.Status = answer.StatusCode
	return nil, p.verdict()
}

// do makes a request and decodes the answer into result (nil: ignored).
func (c *client) do(ctx context.Context, method, path string, query url.Values, body []byte, result any) error {
	return c.doWithin(ctx, apiTimeout, method, path, query, body, result)
}

// doWithin is do with another bound.
func (c *client) doWithin(ctx context.Context, limit time.Duration, method, path string, query url.Values, body []byte, result any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := c.send(ctx, method, path, query, body, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(result); err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	return nil
}

// page is a page of any list.
type page struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor"`
}

// all follows the cursors until limit items (0: all) were given to f.
func (c *client) all(ctx context.Context, path string, query url.Values, limit int, f func(json.RawMessage) error) error {
	if limit > 0 && limit < smallPage {
		query.Set("limit", strconv.Itoa(limit))
	}
	for n := 0; ; {
		var p page
		if err := c.do(ctx, http.MethodGet, path, query, nil, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := f(item); err != nil {
				return err
			}
			if n++; n == limit {
				return nil
			}
		}
		if p.NextCursor == "" {
			if n == 0 {
				return errNothing
			}
			return nil
		}
		query.Set("cursor", p.NextCursor)
	}
}

// eventFilters are the flags that lists and streams of events share: each is
// the API's parameter of that name.
var eventFilters = []struct{ name, usage string }{
	{"type", "only events of this `TYPE`"},
	{"source", "only events from this `SERVICE`"},
	{"level", "only events of this `LEVEL`: info, warning, error or critical"},
	{"severity-min", "only events at least so severe (`1-10`)"},
	{"severity-max", "only events at most so severe (`1-10`)"},
	{"user-id", "only events of this `USER`"},
	{"session-id", "only events of this `SESSION`"},
	{"trace-id", "only events of this `TRACE`"},
	{"filter", "only events that match this `CONDITION`, e.g. '{\"payload.amount\":{\"$gte\":100}}'"},
}

// eventFilter binds the shared flags; query has those that were given.
func eventFilter(f *pflag.FlagSet) (query func() url.Values) {
	for _, e := range eventFilters {
		f.String(e.name, "", e.usage)
	}
	return func() url.Values {
		q := url.Values{}
		for _, e := range eventFilters {
			if v := f.Lookup(e.name).Value.String(); v != "" {
				q.Set(strings.ReplaceAll(e.name, "-", "_"), v)
			}
		}
		return q
	}
}

// showOne shows one thing of the API.
func (t *tool) showOne(cmd *cobra.Command, path string) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	var one json.RawMessage
	if err := api.do(cmd.Context(), http.MethodGet, path, nil, nil, &one); err != nil {
		return err
	}
	return t.print(one, func() error { return t.printJSON(one) })
}

// rule reads a rule by its id or its name.
func (c *client) rule(ctx context.Context, idOrName string) (json.RawMessage, error) {
	var one json.RawMessage
	err := c.do(ctx, http.MethodGet, "/rules/"+url.PathEscape(idOrName), nil, nil, &one)
	if !errors.Is(err, errNothing) {
		return one, err
	}
	var found page
	if err := c.do(ctx, http.MethodGet, "/rules", url.Values{"name": {idOrName}}, nil, &found); err != nil {
		return nil, err
	}
	if len(found.Items) == 0 {
		return nil, noRule(idOrName)
	}
	return found.Items[0], nil
}

// rule is the API, and its path of a rule that is named by its id or its name.
// One that was deleted still has its versions under its id.
func (t *tool) rule(ctx context.Context, idOrName string) (api *client, path string, err error) {
	if api, err = t.client(); err != nil {
		return nil, "", err
	}
	id, err := api.ruleID(ctx, idOrName)
	return api, "/rules/" + url.PathEscape(id), err
}

func (c *client) ruleID(ctx context.Context, idOrName string) (string, error) {
	id := struct {
		RuleID string `json:"rule_id"`
	}{idOrName}
	one, err := c.rule(ctx, idOrName)
	if err == nil {
		err = json.Unmarshal(one, &id)
	}
	if err != nil && !errors.Is(err, errNothing) {
		return "", err
	}
	return id.RuleID, nil
}

// asked are text flags that go to the API under their own names, when given.
type asked map[string]*string

func (a asked) flag(f *pflag.FlagSet, name, usage string) { a[name] = f.String(name, "", usage) }

func (a asked) given() map[string]string {
	given := map[string]string{}
	for name, value := range a {
		if *value != "" {
			given[name] = *value
		}
	}
	return given
}
