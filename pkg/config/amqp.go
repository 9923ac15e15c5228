package config

import (
	"net/url"
	"regexp"
	"strings"
)

// AMQP is where RabbitMQ is.
type AMQP struct {
	URL string // may hold a password: never log it, see MaskURI
}

func (a *AMQP) keys(r *registry) {
	r.text("url", &a.URL, "amqp://guest:guest@127.0.0.1:5672/", "Address, user and virtual host.").
		secret().require("amqp://… or amqps://…, user name and password percent-encoded", func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && (u.Scheme == "amqp" || u.Scheme == "amqps") && u.Hostname() != "" && userinfoDecodes(s)
	})
}

// Broker is how things are named in RabbitMQ.
type Broker struct {
	Prefix string
}

var prefixShape = regexp.MustCompile(`^[A-Za-z0-9_.:-]{0,64}$`)

func (b *Broker) keys(r *registry) {
	r.text("prefix", &b.Prefix, "",
		"Goes before the name of every exchange and queue, `events` included, so that several installations share a broker.").
		require("up to 64 letters, digits and _ . : -, not beginning with amq.", func(s string) bool {
			return prefixShape.MatchString(s) && !strings.HasPrefix(s, "amq.")
		})
}
