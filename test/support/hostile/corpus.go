package hostile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// Case is one message of the corpus with what pkg/event must say of it.
type Case struct {
	Message      // with the pointers of all its violations
	once    bool // its event_id is fixed
	isJSON  bool // its body is JSON text, whole
}

// entry is one case as the file has it; the file's head explains the members.
type entry struct {
	Why         string         `yaml:"why"`
	Body        string         `yaml:"body"`
	Base64      []byte         `yaml:"-"`
	Encoded     string         `yaml:"base64"`
	Pad         int            `yaml:"pad"`
	Nest        int            `yaml:"nest"`
	Repeat      string         `yaml:"repeat"`
	Times       int            `yaml:"times"`
	ContentType string         `yaml:"content_type"`
	MessageID   string         `yaml:"message_id"`
	Headers     map[string]any `yaml:"headers"`
	Stored      []storedID     `yaml:"stored"`
	Refused     []string       `yaml:"refused"`
	Class       string         `yaml:"class"`
	Once        bool           `yaml:"once"`
	Binary      bool           `yaml:"binary"`
}

// storedID is one event id: a text, or derived.
type storedID struct {
	id, source string
	derived    bool
}

// UnmarshalYAML reads either form.
func (s *storedID) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.id = n.Value
		return nil
	}
	var d struct {
		Source string `yaml:"source"`
		ID     string `yaml:"id"`
	}
	if err := n.Decode(&d); err != nil {
		return err
	}
	*s = storedID{id: d.ID, source: d.Source, derived: true}
	return nil
}

// corpusFile is below the module's root, which is found from where a test runs.
const corpusFile = "pkg/event/testdata/hostile/messages.yaml"

func load() []entry {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			err = os.ErrNotExist
		}
		dir = filepath.Dir(dir)
	}
	var entries []entry
	var data []byte
	if err == nil {
		data, err = os.ReadFile(filepath.Join(dir, corpusFile))
	}
	if err == nil {
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		err = d.Decode(&entries)
	}
	if err != nil {
		panic(fmt.Sprintf("hostile: %s: %v", corpusFile, err))
	}
	return entries
}

// Corpus returns every case of the corpus once; ids come from newID.
func Corpus(newID func() string) []Case {
	var cases []Case
	for _, e := range load() {
		cases = append(cases, e.render(newID()))
	}
	return cases
}

func (e entry) render(id string) Case {
	c := Case{
		Message: Message{
			Body: e.body(id), ContentType: e.ContentType, MessageID: fill(e.MessageID, id),
			Why: e.Why, Valid: len(e.Stored) > 0, Pointers: e.Refused, Class: e.Class,
		},
		once:   e.Once,
		isJSON: len(e.Stored) > 0 && !e.Binary,
	}
	if len(e.Headers) > 0 {
		c.Headers = map[string]any{}
		for k, v := range e.Headers {
			if s, ok := v.(string); ok {
				v = fill(s, id)
			}
			c.Headers[k] = v
		}
	}
	if !c.Valid && c.Class == "" {
		c.Class = event.ClassInvalidEvent
	}
	c.EventIDs = e.ids(id, c.Body)
	return c
}

func (e entry) ids(id string, body []byte) (ids []string) {
	for _, s := range e.Stored {
		switch {
		case s.derived:
			ids = append(ids, event.DeriveID(s.source, fill(s.id, id)))
		case s.id == "body":
			ids = append(ids, bodyID(body))
		default:
			ids = append(ids, fill(s.id, id))
		}
	}
	return ids
}

// bodyID is how an id is derived from a body, written once more.
func bodyID(body []byte) string {
	namespace := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/events-aggregator/events-aggregator#body"))
	return uuid.NewSHA1(namespace, body).String()
}

func (e entry) body(id string) []byte {
	switch {
	case e.Encoded != "":
		return decodeBase64(e.Encoded)
	case e.Nest > 0:
		return nested(id, e.Nest)
	case e.Repeat != "":
		return []byte(strings.Repeat(e.Repeat, e.Times))
	}
	b := fill(e.Body, id)
	if e.Pad > 0 {
		const end = `"}}`
		b += strings.Repeat("x", e.Pad-len(b)-len(end)) + end
	}
	return []byte(b)
}

// nested is an event of the given depth: objects and arrays in turn below
// payload, which is at depth 2.
func nested(id string, depth int) []byte {
	open, closed := `{"event_id":"`+id+`","type":"DEEP","source":"diver","payload":`, "}"
	var b, tail strings.Builder
	b.WriteString(open)
	for d := 2; d <= depth; d++ {
		if d%2 == 0 {
			b.WriteString(`{`)
			if d < depth {
				b.WriteString(`"a":`)
			}
		} else {
			b.WriteString(`[`)
		}
	}
	for d := depth; d >= 2; d-- {
		if d%2 == 0 {
			tail.WriteByte('}')
		} else {
			tail.WriteByte(']')
		}
	}
	return []byte(b.String() + tail.String() + closed)
}

var rawBytes = regexp.MustCompile(`\{\{x([0-9a-f]+)\}\}`)

func fill(s, id string) string {
	s = strings.ReplaceAll(s, "{{id}}", id)
	return rawBytes.ReplaceAllStringFunc(s, func(m string) string {
		b, err := hex.DecodeString(m[len("{{x") : len(m)-len("}}")])
		if err != nil {
			panic("hostile: " + m)
		}
		return string(b)
	})
}
