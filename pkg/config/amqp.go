package config

import (
	"net/url"
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
