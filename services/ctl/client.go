package ctl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// client talks to the API with the key of the environment.
type client struct{ base, key string }

const (
	defaultAPI = "http://127.0.0.1:8080"
	apiTimeout = time.Minute
)

// env is a variable's value, or the preset when it is empty. Of two, the later
// one counts, as for the services.
func (t *tool) env(name, preset string) string {
	for _, e := range slices.Backward(t.environ) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return cmp.Or(v, preset)
		}
	}
	return preset
}

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

// smallPage is what the API answers with when nothing is said.
const smallPage = 50

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
