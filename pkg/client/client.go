// Package client is the API's typed client. Its types and operations are made
// from the API's OpenAPI document, so that they cannot disagree with it; what
// an operation does is said there.
//
// Free documents (payloads, conditions) are json.RawMessage, which keeps the
// order of their fields and the kinds of their numbers. An error of the API is a
// *Problem, none at all an *Unreachable. What an answer has and the client does
// not know yet, of a newer API, is left out.
package client

//go:generate go run ./internal/generate ../../services/api/openapi.yaml

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
)

// timeoutDefault is above what the API itself gives a request, except for an
// import of many thousand rules.
const timeoutDefault = time.Minute

// Client talks to one API with one key. It may be used by several goroutines.
type Client struct {
	base, key string
	// HTTP carries the requests. A Timeout of its own would end streams.
	HTTP *http.Client
	// Timeout bounds each call: of a list, each page. What is read as it comes,
	// such as StreamEvents, has the bound of its context alone.
	Timeout time.Duration
}

// New makes a client of the API at base, such as http://127.0.0.1:8080.
func New(base, key string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), key: key, HTTP: http.DefaultClient, Timeout: timeoutDefault}
}

// Body is a request's body as the caller wrote it.
type Body struct {
	ContentType string
	Data        []byte
}

// JSON is a body of JSON.
func JSON(data []byte) Body { return Body{ContentType: "application/json", Data: data} }

// request is what an operation sends.
type request struct {
	method, path, accept string
	query                url.Values
	header               http.Header
	body                 any   // nil: none; Body: as it is; all else: as JSON
	also                 []int // statuses that are answers, too
}

// maxProblem bounds what of an error's body is read.
const maxProblem = 1 << 20

// call makes a request and decodes the answer into result (nil: none).
func (c *Client) call(ctx context.Context, r request, result any) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	answer, err := c.stream(ctx, r)
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

// stream makes a request and leaves the body of a good answer to the caller,
// who closes it. All else is an error.
func (c *Client) stream(ctx context.Context, r request) (*http.Response, error) {
	req, err := c.encode(ctx, r)
	if err != nil {
		return nil, err
	}
	answer, err := c.HTTP.Do(req)
	if err != nil {
		var u *url.Error // names the whole address, filter and all
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, &Unreachable{Base: c.base, Err: err}
	}
	if answer.StatusCode < http.StatusMultipleChoices || slices.Contains(r.also, answer.StatusCode) && !isProblem(answer) {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxProblem))
	return nil, c.problem(answer, text)
}

func isProblem(answer *http.Response) bool {
	return strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json")
}

func (c *Client) encode(ctx context.Context, r request) (*http.Request, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader
	given, own := r.body.(Body)
	if !own && !none(r.body) {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("the request's body: %w", err)
		}
		given = JSON(text)
	}
	if given.ContentType != "" {
		body = bytes.NewReader(given.Data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("the API's address: %w", err)
	}
	for name, values := range r.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	for name, value := range map[string]string{"Content-Type": given.ContentType, "Accept": r.accept} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

// none says whether an optional body was left out.
func none(body any) bool {
	v := reflect.ValueOf(body)
	return !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil()
}

// pages goes from page to page.
func pages[T any](cursor string, fetch func(cursor string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			items, next, err := fetch(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}
