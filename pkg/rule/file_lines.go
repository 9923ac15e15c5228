package rule

import (
	"bytes"
	"fmt"
	"io"
)

// Place is a place in a rule of a file.
type Place struct {
	Index   int    // the rule's among the file's rules, 0 is the first
	Pointer string // a JSON pointer into the rule
	Line    int    // found by FindLines; 0 when there is no such rule
}

// FindLines finds the lines of places in a file that ParseFile reads, for those
// who hear of a mistake from somebody who does not have the file.
func FindLines(r io.Reader, name string, places []*Place) error {
	text, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return fmt.Errorf("read rules %s: %w", name, err)
	}
	f := &file{name: name, places: map[int][]*Place{}}
	for _, p := range places {
		f.places[p.Index] = append(f.places[p.Index], p)
	}
	f.readText(bytes.TrimPrefix(text, []byte("\ufeff")))
	return nil
}
