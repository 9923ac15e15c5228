package config

// Admin is the server of the health and metrics paths.
type Admin struct {
	Addr string
}

// adminAddrs are the defaults by process: five processes run beside each other
// on one machine without being told where to listen.
var adminAddrs = map[string]string{
	"ingester":          "127.0.0.1:9101",
	"rule-worker":       "127.0.0.1:9102",
	"action-dispatcher": "127.0.0.1:9103",
	"aggregator":        "127.0.0.1:9104",
	"api":               "127.0.0.1:9105",
}

func (a *Admin) keys(r *registry) {
	r.text("addr", &a.Addr, "",
		"Where /livez, /readyz, /health and /metrics are served. Empty: 127.0.0.1:9101 (ingester), 9102 (rule-worker), 9103 (action-dispatcher), 9104 (aggregator), 9105 (api).").
		require(addressShape, func(s string) bool { return s == "" || isAddress(s) })
}
