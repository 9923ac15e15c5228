package user

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Invalid is a user, or a key, that cannot be saved: every mistake with its place.
type Invalid struct{ Problems []Problem }

// Problem is one mistake.
type Problem struct{ Pointer, Message string }

func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Pointer + ": " + p.Message
	}
	return strings.Join(lines, "; ")
}

func (e *Invalid) refuse(pointer, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{pointer, fmt.Sprintf(format, args...)})
}

// err is nil when there is no mistake.
func (e *Invalid) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

const (
	maxName     = 200
	maxEmail    = 254 // RFC 5321
	maxChannels = 50
	maxTypes    = 200
)

// typeShape is what an event's type may be.
var typeShape = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

// Address is an e-mail address as users are known by it: in lower case, since
// nobody has two that differ in case alone.
func Address(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// Validate names everything that is wrong with the user; the error is an *Invalid.
func (u User) Validate() error {
	e := &Invalid{}
	if a, err := mail.ParseAddress(u.Email); err != nil || a.Address != u.Email || len(u.Email) > maxEmail {
		e.refuse("/email", "%q is no e-mail address, such as ops@example.com", u.Email)
	}
	if u.Role != Admin && u.Role != Plain {
		e.refuse("/role", "%q, expected admin or user", u.Role)
	}
	e.name("/name", u.Name)
	e.each("/preferences/notification_channels", u.Preferences.NotificationChannels, maxChannels, func(channel string) string {
		if channel == "" {
			return "is empty"
		}
		return ""
	})
	e.each("/preferences/event_types", u.Preferences.EventTypes, maxTypes, func(t string) string {
		if !typeShape.MatchString(t) {
			return fmt.Sprintf("%q, expected a type such as PAYMENT_FAILED", t)
		}
		return ""
	})
	return e.err()
}

func (e *Invalid) name(pointer, name string) {
	switch {
	case utf8.RuneCountInString(name) > maxName:
		e.refuse(pointer, "longer than %d characters", maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
		e.refuse(pointer, "has a character that cannot be printed")
	}
}

func (e *Invalid) each(pointer string, list []string, most int, wrong func(string) string) {
	if len(list) > most {
		e.refuse(pointer, "%d, at most %d", len(list), most)
		return
	}
	for i, one := range list {
		if why := wrong(one); why != "" {
			e.refuse(fmt.Sprintf("%s/%d", pointer, i), "%s", why)
		} else if slices.Contains(list[:i], one) {
			e.refuse(fmt.Sprintf("%s/%d", pointer, i), "%q is there twice", one)
		}
	}
}

// longestKey is the furthest end of a key: what lives longer needs none.
const longestKey = 10 * 366 * 24 * time.Hour

// Validate checks what people say of a new key; the error is an *Invalid.
func (k APIKey) Validate(now time.Time) error {
	e := &Invalid{}
	e.name("/name", k.Name)
	switch {
	case k.ExpiresAt == nil:
	case k.Expired(now):
		e.refuse("/expires_at", "is over already")
	case k.ExpiresAt.Sub(now) > longestKey:
		e.refuse("/expires_at", "is more than ten years away; leave it out for a key that does not expire")
	}
	return e.err()
}
