package config

// Log is what is logged and how it looks.
type Log struct {
	Level  string // debug, info, warn or error; changes at SIGHUP
	Format string // auto, json or console
}

func (l *Log) keys(r *registry) {
	r.choice("level", &l.Level, "info", []string{"debug", "info", "warn", "error"}, "The least severe line that is written. Changes at SIGHUP.")
	r.choice("format", &l.Format, "auto", []string{"auto", "json", "console"}, "auto: console on a terminal, else json.")
}
