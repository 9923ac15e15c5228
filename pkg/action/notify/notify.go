// Package notify is the action type SEND_NOTIFICATION: a letter to people,
// through the channels that the configuration names. The package is pure; the
// dispatcher sends.
package notify

import (
	_ "embed"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/user"
)

// Config is a checked configuration.
type Config struct {
	Template   string // by name
	Channel    string // by name; "": what users prefer, and the default channel
	Recipients []Recipient
}

// Recipient is one of the three: an address, a user, or all users of a role.
// None of them (in a list without recipients) is whoever reads the channel.
type Recipient struct {
	Email string
	User  string // user_id
	Role  user.Role
}

// maxRecipients bounds the sends of one notification.
const maxRecipients = 100

// DefaultTemplate is the one of notifications that name none.
const DefaultTemplate = "default"

const rolePrefix = "role:"

// Parse reads {recipients, template?, channel?, retry?, queue?} and names everything
// that is wrong with it.
func Parse(config bson.Raw) (Config, []action.Problem) {
	r := action.NewReader(config)
	c := Config{Template: r.Text("template", DefaultTemplate), Channel: r.Text("channel", "")}
	r.Queue()
	r.Schedule()
	if c.Template == "" {
		r.Refuse("/template", "must be a template's name")
	}
	if _, there := r.Get("channel"); there && c.Channel == "" {
		r.Refuse("/channel", "must be a channel's name")
	}
	c.Recipients = recipients(r, c.Channel)
	return c, r.Problems()
}

func recipients(r *action.Reader, channel string) []Recipient {
	const at = "/recipients"
	v, there := r.Get("recipients")
	if !there {
		if channel == "" {
			r.Refuse(at, "is missing: a list of e-mail addresses, user ids and role:admin or role:user; or name a channel that needs none")
		}
		return nil
	}
	list, ok := v.ArrayOK()
	if !ok {
		r.Refuse(at, "must be a list")
		return nil
	}
	values, err := list.Values()
	if err != nil || len(values) == 0 || len(values) > maxRecipients {
		r.Refuse(at, "must be 1 to %d", maxRecipients)
		return nil
	}
	var all []Recipient
	for i, v := range values {
		text, _ := v.StringValueOK()
		one, wrong := recipient(text)
		switch {
		case wrong != "":
			r.Refuse(fmt.Sprintf("%s/%d", at, i), "%s", wrong)
		case slices.Contains(all, one):
			r.Refuse(fmt.Sprintf("%s/%d", at, i), "is there twice")
		default:
			all = append(all, one)
		}
	}
	return all
}

func recipient(text string) (one Recipient, wrong string) {
	if role, ok := strings.CutPrefix(text, rolePrefix); ok {
		if r := user.Role(role); r == user.Admin || r == user.Plain {
			return Recipient{Role: r}, ""
		}
		return one, "must be role:admin or role:user"
	}
	if strings.Contains(text, "@") {
		a, err := mail.ParseAddress(text)
		if err != nil || a.Name != "" || a.Address != text {
			return one, "is no plain e-mail address, as ops@example.com"
		}
		return Recipient{Email: text}, ""
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return one, "must be an e-mail address, a user id, role:admin or role:user"
	}
	return Recipient{User: text}, ""
}

// Type is the entry for the table of action types.
type Type struct{}

// Name is SEND_NOTIFICATION.
func (Type) Name() string { return "SEND_NOTIFICATION" }

// Doc is one line for documentation.
func (Type) Doc() string {
	return "SEND_NOTIFICATION {recipients, template?, channel?, retry?, queue?}: a letter to people. recipients are e-mail addresses, user ids, role:admin and role:user; users' preferences choose their channels and the event types that they hear of; channel is for those without a preference (default: channels.default), and needs no recipients where it is a room of its own; template (default: default) is one of the templates."
}

//go:embed schema.json
var schema []byte

// Schema is the configuration's JSON Schema.
func (Type) Schema() []byte { return schema }

// Check names everything that is wrong with a configuration.
func (Type) Check(config bson.Raw) []action.Problem {
	_, problems := Parse(config)
	return problems
}

// References are the template, the channel and the users.
func (Type) References(config bson.Raw) []action.Reference {
	c, problems := Parse(config)
	if problems != nil {
		return nil
	}
	refs := []action.Reference{
		{Kind: action.KindTemplate, Name: c.Template, Pointer: "/template"},
		{Kind: action.KindChannel, Name: c.Channel, Pointer: "/channel"},
	}
	for i, one := range c.Recipients {
		refs = append(refs, action.Reference{Kind: action.KindUser, Name: one.User, Pointer: fmt.Sprintf("/recipients/%d", i)})
	}
	return refs
}

// Queue is the configuration's, else the notifications'.
func (Type) Queue(config bson.Raw, severity, priority int) string {
	return action.QueueOf(config, "notifications", severity, priority)
}

// Mask returns the configuration as it is: it holds no secret.
func (Type) Mask(config bson.Raw) bson.Raw { return config }

// Restore returns the configuration as it is: nothing was masked.
func (Type) Restore(config, _ bson.Raw) bson.Raw { return config }
