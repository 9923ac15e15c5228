// Package letter is what a notification says to people: a named template with a
// subject, a text and, if it likes, HTML.
package letter

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// Template is a document of the collection `templates`.
type Template struct {
	Name        string    `bson:"_id" json:"name" yaml:"name"`
	Description string    `bson:"description,omitempty" json:"description,omitempty" yaml:"description"`
	Subject     string    `bson:"subject" json:"subject" yaml:"subject"`
	Text        string    `bson:"text" json:"text" yaml:"text"`
	HTML        string    `bson:"html,omitempty" json:"html,omitempty" yaml:"html"`
	Version     int       `bson:"version" json:"version" yaml:"-"`
	CreatedAt   time.Time `bson:"created_at" json:"created_at" yaml:"-"`
	UpdatedAt   time.Time `bson:"updated_at" json:"updated_at" yaml:"-"`
	UpdatedBy   string    `bson:"updated_by,omitempty" json:"updated_by,omitempty" yaml:"-"`
}

// Letter is a template filled in for one notification.
type Letter struct {
	Subject string // one line
	Text    string
	HTML    string // "" when the template has none
}

// Compiled is a checked template; it does not change.
type Compiled struct{ subject, text, html *action.Template }

var nameShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

const (
	maxDescription = 1000
	// maxSubject is what mail programs show at most, in characters; RFC 5322
	// bounds a line at 998 bytes, which an encoded subject is folded to.
	maxSubject = 200
)

// Compile names everything that is wrong with a template, by JSON pointer.
func (t Template) Compile() (*Compiled, []action.Problem) {
	var problems []action.Problem
	refuse := func(pointer, format string, args ...any) {
		problems = append(problems, action.Problem{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
	parse := func(pointer, text string, parser func(string) (*action.Template, error)) *action.Template {
		compiled, err := parser(text)
		if err != nil {
			refuse(pointer, "is no valid template: %v", err)
		}
		return compiled
	}
	if !nameShape.MatchString(t.Name) {
		refuse("/name", "must be 1 to 64 of a-z, 0-9 and . _ -, beginning with a letter or digit")
	}
	if utf8.RuneCountInString(t.Description) > maxDescription {
		refuse("/description", "must be at most %d characters", maxDescription)
	}
	c := &Compiled{}
	if strings.TrimSpace(t.Subject) == "" {
		refuse("/subject", "is missing")
	} else {
		c.subject = parse("/subject", t.Subject, action.ParseTemplate)
	}
	if strings.TrimSpace(t.Text) == "" {
		refuse("/text", "is missing: not everybody reads HTML")
	} else {
		c.text = parse("/text", t.Text, action.ParseTemplate)
	}
	if t.HTML != "" {
		c.html = parse("/html", t.HTML, action.ParseHTML)
	}
	if problems != nil {
		return nil, problems
	}
	return c, nil
}

// Fill writes the letter for a notification. An error is the template's: the
// same notification gives it again.
func (c *Compiled) Fill(msg notification.Message) (Letter, error) {
	subject, err := c.subject.Render(msg)
	if err != nil {
		return Letter{}, fmt.Errorf("subject: %w", err)
	}
	text, err := c.text.Render(msg)
	if err != nil {
		return Letter{}, fmt.Errorf("text: %w", err)
	}
	l := Letter{Subject: oneLine(string(subject)), Text: strings.TrimSpace(string(text))}
	if c.html != nil {
		html, err := c.html.Render(msg)
		if err != nil {
			return Letter{}, fmt.Errorf("html: %w", err)
		}
		l.HTML = strings.TrimSpace(string(html))
	}
	return l, nil
}

// oneLine keeps what an event brings out of the header's framing.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if utf8.RuneCountInString(s) > maxSubject {
		s = string([]rune(s)[:maxSubject-1]) + "…"
	}
	return s
}
