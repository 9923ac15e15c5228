package config

import "strings"

// Mongo is where the database is.
type Mongo struct {
	URI      string // may hold a password: never log it, see MaskURI
	Database string
	MaxPool  int // connections of this process
}

func (m *Mongo) keys(r *registry) {
	r.text("uri", &m.URI, "mongodb://127.0.0.1:27017/",
		"Connection string. Write and read concern are always majority; a string that asks for less is refused.").
		secret().require("mongodb://… or mongodb+srv://…, user name and password percent-encoded", func(s string) bool {
		return (strings.HasPrefix(s, "mongodb://") || strings.HasPrefix(s, "mongodb+srv://")) && userinfoDecodes(s)
	})
	r.text("database", &m.Database, "events_aggregator", "Database name.").
		require("1 to 63 characters without /\\. \"$ and spaces", func(s string) bool {
			return s != "" && len(s) <= 63 && !strings.ContainsAny(s, "/\\. \"$*<>:|?\x00")
		})
	r.integer("max_pool", &m.MaxPool, 50, 2, 1000, "Most connections that one process opens.")
}
