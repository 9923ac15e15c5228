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
	"strings"
	"time"
)

// client talks to the API with the key of the environment.
type client struct{ base, key string }

const (
	defaultAPI = "http://127.0.0.1:8080"
	apiTimeout = time.Minute
)

func (t *tool) env(name, preset string) string {
	for _, e := range t.environ {
		if k, v, ok := strings.Cut(e, "="); ok && k == name && v != "" {
			return v
		}
	}
	return preset
}

func (t *tool) client() (*client, error) {
	key := t.env("EA_API_KEY", "")
	if key == "" {
		return nil, &usageError{errors.New("set EA_API_KEY to an API key (`eactl users create` makes one)")}
	}
	return &client{base: strings.TrimRight(t.env("EA_API_URL", defaultAPI), "/") + "/api/v1", key: key}, nil
}

// problem is the API's error.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer   string `json:"pointer"`
		Parameter string `json:"parameter"`
		Message   string `json:"message"`
	} `json:"errors"`
}

func (p problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("\n  %s%s: %s", e.Pointer, e.Parameter, e.Message)
	}
	return text
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
		return nil, fmt.Errorf("the API (EA_API_URL) does not answer: %w", err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p problem
	if json.Unmarshal(text, &p) != nil || p.Title == "" {
		p = problem{Title: answer.Status, Detail: answer.Status + ": " + string(text)}
	}
	return nil, p
}

// do makes a request and decodes the answer into result (nil: ignored).
func (c *client) do(ctx context.Context, method, path string, query url.Values, body []byte, result any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
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

// list is a page of any list.
type list struct {
	Items      []json.RawMessage `json:"items"`
	NextCursor string            `json:"next_cursor"`
}

// all follows the cursors until limit items (0: all) were given to f.
func (c *client) all(ctx context.Context, path string, query url.Values, limit int, f func(json.RawMessage) error) error {
	for n := 0; ; {
		var page list
		if err := c.do(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := f(item); err != nil {
				return err
			}
			if n++; n == limit {
				return nil
			}
		}
		if page.NextCursor == "" {
			if n == 0 {
				return errNothing
			}
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
}
