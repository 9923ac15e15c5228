package config

import (
	"regexp"
	"strings"
)

// Broker is how things are named in RabbitMQ.
type Broker struct {
	Prefix string
}

var prefixShape = regexp.MustCompile(`^[A-Za-z0-9_.:-]{0,64}$`)

func (b *Broker) keys(r *registry) {
	r.text("prefix", &b.Prefix, "",
		"Goes before the name of every exchange and queue, `events` included, so that several installations can share a broker: letters, digits and _ . : -").
		require("up to 64 letters, digits and _ . : -, not beginning with amq.", func(s string) bool {
			return prefixShape.MatchString(s) && !strings.HasPrefix(s, "amq.")
		})
}
