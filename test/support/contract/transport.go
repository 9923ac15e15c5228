package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Transport carries requests and compares what it carries with the document. A
// difference is the request's error, so that it fails the spec that made it.
type Transport struct {
	next http.RoundTripper
	load func() (*Document, error)

	mu     sync.Mutex
	broken []string
}

// Watch is a Transport around another one.
func Watch(next http.RoundTripper) *Transport {
	return &Transport{next: next, load: sync.OnceValues(Load)}
}

// Broken lists the differences so far, also those whose error nobody looked at.
func (t *Transport) Broken() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.broken)
}

// prefix tells the api's requests from all others.
const prefix = "/api/v1/"

// RoundTrip carries one request.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, prefix) {
		return t.next.RoundTrip(r)
	}
	d, err := t.load()
	if err != nil {
		return nil, err
	}
	sent, err := replay(r)
	if err != nil {
		return nil, err
	}
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := keep(answer)
	if err != nil {
		return nil, err
	}
	if err := d.Compare(r, sent, answer, got); err != nil {
		_ = answer.Body.Close()
		err = fmt.Errorf("%s %s answered %d, which openapi.yaml does not say: %w", r.Method, r.URL.Path, answer.StatusCode, err)
		t.mu.Lock()
		t.broken = append(t.broken, err.Error())
		t.mu.Unlock()
		return nil, err
	}
	return answer, nil
}

// replay reads a request's body and puts it back.
func replay(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	sent, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(sent))
	return sent, err
}

// keep is the same for an answer; a stream is left alone.
func keep(answer *http.Response) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == "text/event-stream" || kind == "application/x-ndjson" || kind == "text/csv" {
		return nil, nil
	}
	got, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(got))
	return got, err
}

// Compare says how an exchange differs from the document.
func (d *Document) Compare(r *http.Request, sent []byte, answer *http.Response, got []byte) error {
	o := d.Find(r.Method, r.URL.EscapedPath())
	if o == nil {
		return unknown(answer.StatusCode, got)
	}
	if err := d.compareAnswer(o, answer, got); err != nil {
		return err
	}
	if got != nil {
		if err := compareTyped(o, answer, got); err != nil {
			return err
		}
	}
	if answer.StatusCode >= http.StatusMultipleChoices || refusedPart(got) {
		return nil // what was refused need not be right
	}
	return d.compareRequest(o, r, sent)
}

// unknown: what the document does not have is refused as it says.
func unknown(status int, got []byte) error {
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(got, &p)
	switch {
	case status == http.StatusNotFound && p.Code == "no_such_route",
		status == http.StatusMethodNotAllowed && p.Code == "method_not_allowed":
		return nil
	}
	return errors.New("it has no such operation")
}

func (d *Document) compareAnswer(o *Operation, answer *http.Response, got []byte) error {
	responses, _ := o.node["responses"].(map[string]any)
	status := strconv.Itoa(answer.StatusCode)
	response, at := d.resolve(responses[status], o.at+"/responses/"+status)
	if response == nil {
		return fmt.Errorf("no such status; it lists %s (the answer is %.300s)", names(responses), got)
	}
	if headers, _ := response["headers"].(map[string]any); answer.StatusCode < http.StatusMultipleChoices {
		for name := range headers {
			if answer.Header.Get(name) == "" {
				return fmt.Errorf("the header %s is missing", name)
			}
		}
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if len(got) > 0 {
			return fmt.Errorf("a body of %d bytes, and it says none", len(got))
		}
		return nil
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if content[kind] == nil {
		return fmt.Errorf("the media type is %q; it lists %s", kind, names(content))
	}
	if got == nil {
		return nil // a stream
	}
	value, err := Value(got)
	if err != nil {
		return err
	}
	if err := d.Check(at+"/content/"+escape(kind)+"/schema", value); err != nil {
		return fmt.Errorf("%w\nof %.2000s", err, got)
	}
	return checkCode(response, value)
}

func checkCode(response map[string]any, value any) error {
	codes, listed := response["x-codes"].([]any)
	if !listed {
		return nil
	}
	problem, _ := value.(map[string]any)
	if !slices.Contains(codes, problem["code"]) {
		return fmt.Errorf("the code is %v; it lists %v (the answer is %v)", problem["code"], codes, problem)
	}
	return nil
}

// masked stands for a secret that the caller does not change; no schema of a
// secret knows it.
const masked = "********"

func (d *Document) compareRequest(o *Operation, r *http.Request, sent []byte) error {
	query := r.URL.Query()
	for name, values := range query {
		i := slices.IndexFunc(o.Parameters, func(p Parameter) bool { return p.In == "query" && p.Name == name })
		if i < 0 {
			return fmt.Errorf("the parameter %s was taken, and it is not listed", name)
		}
		if values[0] == "" && !o.Parameters[i].Empty {
			return fmt.Errorf("the parameter %s was taken without a value, and has no allowEmptyValue", name)
		}
		if err := d.Check(o.Parameters[i].at, o.Parameters[i].value(values[0])); err != nil {
			return fmt.Errorf("the parameter %s=%s was taken: %w", name, values[0], err)
		}
	}
	if missing := o.missing(query); missing != "" {
		return fmt.Errorf("the parameter %s is required, and was not sent", missing)
	}
	content, _ := o.Body["content"].(map[string]any)
	required, _ := o.Body["required"].(bool)
	switch {
	case len(sent) == 0 && required:
		return errors.New("a body is required, and none was sent")
	case len(sent) == 0 || r.Method == http.MethodGet || bytes.Contains(sent, []byte(masked)):
		return nil
	case o.Body == nil:
		return errors.New("a body was taken, and none is listed")
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/x-ndjson" && content[kind] != nil || isBinaryCloudEvent(r.Header) {
		return nil // lines, or the data of one who sends it
	}
	if content[kind] == nil {
		kind = "application/json"
	}
	value, err := Value(sent)
	if err != nil {
		if len(content) > 1 {
			return nil // one of the other media types
		}
		return fmt.Errorf("the body was taken: %w", err)
	}
	if err := d.Check(o.BodyAt+"/content/"+escape(kind)+"/schema", value); err != nil {
		return fmt.Errorf("the body was taken: %w\nof %.2000s", err, sent)
	}
	return nil
}

// refusedPart says whether an answer names parts of the request that were refused.
func refusedPart(got []byte) bool {
	var answer struct {
		Rejected []any `json:"rejected"`
	}
	return json.Unmarshal(got, &answer) == nil && len(answer.Rejected) > 0
}

func isBinaryCloudEvent(h http.Header) bool { return h.Get("Ce-Specversion") != "" }

func (o *Operation) missing(query url.Values) string {
	for _, p := range o.Parameters {
		if p.In == "query" && p.Required && query.Get(p.Name) == "" {
			return p.Name
		}
	}
	return ""
}

// value is a parameter's text as the type that its schema names.
func (p Parameter) value(text string) any {
	switch p.Schema["type"] {
	case "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

func names(of map[string]any) string {
	var all []string
	for name := range of {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
