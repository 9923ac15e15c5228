package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// shoutChannel sends through one of shoutrrr's services.
type shoutChannel struct {
	url  string
	hide *strings.Replacer
	// places bounds the sends under way: the library takes no context, so one that
	// hangs goes on after we have stopped waiting.
	places chan struct{}
}

const (
	// maxShouts is how many sends of one channel may hang.
	maxShouts = 32
	// shoutTimeout ends those of the services that bring no time-out themselves.
	shoutTimeout = time.Minute
)

// boundShouts bounds the client that most of the library's services use; there is
// no other way to it. Nothing else in the process calls anybody through it.
var boundShouts = sync.OnceFunc(func() { http.DefaultClient.Timeout = shoutTimeout })

func newShoutChannel(url, kind string) (*shoutChannel, error) {
	boundShouts()
	c := &shoutChannel{url: url, hide: secretsOf(url), places: make(chan struct{}, maxShouts)}
	if _, err := c.service(); err != nil {
		return nil, fmt.Errorf("is no channel of the kind %s: %s", kind, c.withoutSecrets(root(err)))
	}
	return c, nil
}

// root is what went wrong, without the words before it, which repeat the URL.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// service is made for each send: some keep state of their own in it.
func (c *shoutChannel) service() (types.Service, error) {
	return (&router.ServiceRouter{}).Locate(c.url)
}

func (*shoutChannel) personal() bool { return false }

func (c *shoutChannel) send(ctx context.Context, envelopes []envelope) []error {
	results := make([]error, len(envelopes))
	for i, e := range envelopes {
		if err := c.sendOne(ctx, e); err != nil {
			results[i] = errors.New(c.withoutSecrets(err))
		}
	}
	return results
}

// anyURL is one in a text.
var anyURL = regexp.MustCompile(`(?i)\b(https?://[^\s/"'?]+)[^\s"']*`)

// withoutSecrets is an error's text. The URL that a service calls in the end is
// made of the channel's in its own way, so nothing of it is shown but the host.
func (c *shoutChannel) withoutSecrets(err error) string {
	return anyURL.ReplaceAllString(c.hide.Replace(err.Error()), "$1/********")
}

func (c *shoutChannel) sendOne(ctx context.Context, e envelope) error {
	select {
	case c.places <- struct{}{}:
	case <-ctx.Done():
		return errors.New("earlier sends to this channel still hang")
	}
	service, err := c.service()
	if err != nil {
		<-c.places
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-c.places }()
		done <- service.Send(strings.TrimSpace(e.Subject+"\n"+e.Text), &types.Params{})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
}
