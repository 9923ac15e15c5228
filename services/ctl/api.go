package ctl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-aggregator/events-aggregator/pkg/client"
)

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

// api is the API of the environment, with its key.
func (t *tool) api() (*client.Client, error) {
	base, key := t.env("EA_API_URL", defaultAPI), t.env("EA_API_KEY", "")
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &usageError{errors.New("EA_API_URL is no URL; set it to the api's address, such as " + defaultAPI)}
	}
	if key == "" {
		return nil, &usageError{errors.New("EA_API_KEY is not set; `eactl users create --email you@example.com` makes a key")}
	}
	api := client.New(base, key)
	api.Timeout = apiTimeout
	return api, nil
}

// verdict makes of the API's error what the exit code goes by (a request that
// cannot be right is bad usage, an id of nothing is nothing matched), and adds
// what to do about an answer that does not say so itself.
func verdict(err error) error {
	var p *client.Problem
	var u *client.Unreachable
	var usage *usageError
	advise := func(advice string) error { return fmt.Errorf("%w\n%s", err, advice) }
	switch {
	case errors.As(err, &u):
		return advise("Start it (`bin/api`), or set EA_API_URL to where it runs")
	case !errors.As(err, &p), errors.Is(err, errNothing), errors.As(err, &usage):
		return err
	case p.Status == http.StatusUnauthorized:
		return advise("Set EA_API_KEY to a key that is in use; `eactl users create --database` makes one, and `eactl keys create` more of your own.")
	case p.Status == http.StatusForbidden:
		return advise("Use an admin's key; `eactl users create --database --role admin` makes one.")
	case p.Code == "": // no problem of this API
		return fmt.Errorf("%w; is EA_API_URL right?", err)
	case p.Status == http.StatusTooManyRequests:
		return advise(again(p))
	case p.Status >= http.StatusInternalServerError:
		advice := "`eactl doctor` tries the servers; the api's log has this under request id " + p.RequestID + "."
		if p.RetryAfter > 0 {
			advice = again(p) + " " + advice
		}
		return advise(advice)
	case p.Status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", errNothing, err)
	case p.Status == http.StatusBadRequest, p.Status == http.StatusUnprocessableEntity:
		return &usageError{err}
	}
	return err
}

// again says when the same request may be answered better.
func again(p *client.Problem) string {
	if p.RetryAfter <= 0 {
		return "Try again later."
	}
	return fmt.Sprintf("Try again in %s.", p.RetryAfter.Round(time.Second))
}

// missing says whether the API has nothing of that id.
func missing(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

// show shows one thing of the API as it is.
func show[T any](t *tool, cmd *cobra.Command, get func(*client.Client, context.Context, string) (T, error), id string) error {
	api, err := t.api()
	if err != nil {
		return err
	}
	one, err := get(api, cmd.Context(), id)
	if err != nil {
		return err
	}
	return t.print(one, func() error { return t.printJSON(one) })
}

// pageFor is the size of the pages to ask for; 0 is the API's own.
func pageFor(limit int) int64 {
	if limit < smallPage {
		return int64(limit)
	}
	return 0
}

// smallPage is what the API answers with when nothing is said.
const smallPage = 50

// plain is a value as a line of JSON that a person can read.
func plain(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
