package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"
)

// API is the section of the public HTTP server.
type API struct {
	Addr               string
	PublicURL          string // scheme, host and port; "": not known
	BootstrapAdminKey  string // creates the first admin when there are no users
	BodyLimit          int
	EventsPerRequest   int
	PageLimit          int
	RequestTimeout     time.Duration
	PublishTimeout     time.Duration
	BacktestTimeout    time.Duration
	AnalyticsTimeout   time.Duration
	SearchTimeout      time.Duration
	RateLimit          int // requests per second and key
	RateBurst          int
	WrongKeysPerMinute int // of one address
	TrustedProxies     []netip.Prefix
	CORSOrigins        []string
	SessionLifetime    time.Duration
	StreamClients      int
	StreamKeyClients   int
	StreamBuffer       int
	StreamHeartbeat    time.Duration
}

func (a *API) keys(r *registry) {
	r.text("addr", &a.Addr, "127.0.0.1:8080", "Where the API and the dashboard are served.").
		require(addressShape, isAddress)
	r.text("public_url", &a.PublicURL, "", "Where people reach the dashboard, as https://events.example.com: letters and alerts then carry a link to it, and its pages may open a WebSocket behind a proxy that asks by another name. Set it for the action-dispatcher too.").
		require("the address of the dashboard, as https://events.example.com", func(s string) bool { return s == "" || isOrigin(s) })
	r.text("bootstrap_admin_key", &a.BootstrapAdminKey, "", "Creates the first admin with this key (16 characters or more) when there are no users.").
		secret().require("a key of at least 16 characters without spaces", func(s string) bool { return s == "" || len(s) >= 16 && !hasSpace(s) })
	r.bytes("body_limit", &a.BodyLimit, 8<<20, 1<<10, 256<<20, "Largest request body.")
	r.integer("events_per_request", &a.EventsPerRequest, 1000, 1, 1000, "Most events of one POST.")
	r.integer("page_limit", &a.PageLimit, 500, 1, 10_000, "Most items of one page.")
	r.duration("request_timeout", &a.RequestTimeout, 30*time.Second, time.Second, 10*time.Minute, "Longest time for one request; streams are exempt.")
	r.duration("publish_timeout", &a.PublishTimeout, 10*time.Second, 100*time.Millisecond, 10*time.Minute, "Longest wait for the broker's confirm of posted events.")
	r.duration("backtest_timeout", &a.BacktestTimeout, time.Minute, time.Second, 10*time.Minute, "Longest time for one back-test; what is found by then is the answer.")
	r.duration("analytics_timeout", &a.AnalyticsTimeout, 10*time.Second, 100*time.Millisecond, 10*time.Minute, "Longest time for the database's part of one analysis; what takes longer is a 504.")
	r.duration("search_timeout", &a.SearchTimeout, 10*time.Second, 100*time.Millisecond, 10*time.Minute, "Longest time for the database to find one page of events; what takes longer is a 504.")
	r.integer("rate_limit", &a.RateLimit, 200, 1, 1_000_000, "Requests per second and API key.")
	r.integer("rate_burst", &a.RateBurst, 400, 1, 1_000_000, "Requests that a key may make at once.")
	r.integer("wrong_keys_per_minute", &a.WrongKeysPerMinute, 60, 1, 1_000_000, "Wrong API keys that one address may send a minute; more are answered 429 without a look at the database.")
	r.networks("trusted_proxies", &a.TrustedProxies, "Proxies whose X-Forwarded-For says the address that a request comes from; of others it is not believed.")
	r.texts("cors_origins", &a.CORSOrigins, "Origins whose pages may call the API from a browser. The dashboard needs none.",
		"a list of origins, as https://ops.example.com", isOrigin)
	r.duration("session_lifetime", &a.SessionLifetime, 7*24*time.Hour, time.Minute, 90*24*time.Hour, "How long a browser stays signed in, at most; revoking its API key ends it at once.")
	r.integer("stream_clients", &a.StreamClients, 1000, 1, 100_000, "Most live clients of one process.")
	r.integer("stream_key_clients", &a.StreamKeyClients, 200, 1, 100_000, "Most live clients of one API key and process.")
	r.integer("stream_buffer", &a.StreamBuffer, 4096, 1, 65_536, "Changes that a live client may be behind; all clients share them.")
	r.duration("stream_heartbeat", &a.StreamHeartbeat, 15*time.Second, 100*time.Millisecond, 5*time.Minute, "How often a silent live connection shows that it lives.")
}

// isOrigin: scheme, host and port, as browsers send it.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}

func (a *API) check(report func(key, message string)) {
	if a.PublishTimeout >= a.RequestTimeout {
		report("api.publish_timeout", fmt.Sprintf("%s is not less than api.request_timeout (%s), so no request could say that the broker did not answer", a.PublishTimeout, a.RequestTimeout))
	}
	if a.RateBurst < a.RateLimit {
		report("api.rate_burst", fmt.Sprintf("%d is less than api.rate_limit (%d), so the limit could never be reached", a.RateBurst, a.RateLimit))
	}
}
