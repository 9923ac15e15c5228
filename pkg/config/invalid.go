package config

import (
	"fmt"
	"strings"
)

// Problem is one mistake: the key or variable, where the value came from
// ("ea.yaml:12", "EA_LOG_LEVEL", "--set"), and what is wrong with it. It never
// shows a secret's value.
type Problem struct {
	Key     string
	Source  string
	Message string
}

func (p Problem) String() string {
	if p.Source == "" || p.Source == p.Key {
		return p.Key + ": " + p.Message
	}
	return fmt.Sprintf("%s (%s): %s", p.Key, p.Source, p.Message)
}

// Invalid is every mistake of a configuration together.
type Invalid struct{ Problems []Problem }

func (e *Invalid) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	if n := len(e.Problems); n == 1 {
		lines = append(lines, "bad configuration, 1 problem:")
	} else {
		lines = append(lines, fmt.Sprintf("bad configuration, %d problems:", n))
	}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}
