package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Channels is the section of the ways to people.
type Channels struct {
	URLs    map[string]string // by name
	Default string            // of those who have no preference; "": the log
}

// LogChannel is the channel that is always there: a line in the audit log.
const LogChannel = "log"

var (
	channelShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	schemeShape  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
)

func (c *Channels) keys(r *registry) {
	r.secrets("urls", &c.URLs,
		"URLs by name: smtp://user:password@host:587/?from=alerts@example.com (smtps:// for TLS from the start), log:, and every service of shoutrrr: slack://…, telegram://…, discord://…, teams://…, pagerduty://…, opsgenie://…, generic://….",
		"channel names of a-z, 0-9 and . _ -, each with a URL", func(name, url string) bool {
			return name != LogChannel && channelShape.MatchString(name) && schemeShape.MatchString(url)
		})
	r.text("default", &c.Default, "", "The channel of recipients who have not chosen one; empty: the log.").
		require("a channel's name", func(s string) bool { return s == "" || channelShape.MatchString(s) })
}

func (c *Channels) check(report func(key, message string)) {
	if _, there := c.URLs[c.DefaultName()]; !there && c.DefaultName() != LogChannel {
		report("channels.default", fmt.Sprintf("%s is not in channels.urls; there are %s", c.Default, strings.Join(c.Names(), ", ")))
	}
}

// DefaultName is the channel of recipients who have not chosen one.
func (c Channels) DefaultName() string {
	if c.Default == "" {
		return LogChannel
	}
	return c.Default
}

// Names are all channels, sorted, the log's last.
func (c Channels) Names() []string { return append(sortedKeys(c.URLs), LogChannel) }

// Kind is a channel's scheme: smtp, slack, log.
func (c Channels) Kind(name string) string {
	scheme, _, _ := strings.Cut(c.URLs[name], ":")
	if scheme == "" {
		return LogChannel
	}
	return strings.ToLower(scheme)
}

// maskURL shows the scheme and the host alone: of a channel's URL every other
// part may be a secret.
func maskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return hidden
	}
	if strings.HasPrefix(u.Scheme, "smtp") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":" + hidden
}
