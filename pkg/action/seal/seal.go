// Package seal encrypts the secrets in the configurations of actions, each
// value by itself, so that neither the database nor the messages in the broker
// hold them in the clear. Which values are secret, the action's type knows: those
// that it masks. What is sealed stays readable where it is not secret, and a
// process that carries nothing out never needs the key.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/outgoing"
	"github.com/events-aggregator/events-aggregator/pkg/event"
)

// prefix begins every sealed value: ea-sealed:1:<key id>:<base64 of nonce and
// ciphertext>, of a URL ea-sealed:1:<key id>@<target>:<base64>, so that who looks
// after its dead letters can tell whom it calls without the key: a host is shown
// everywhere. AES-256-GCM; the part before the last colon is authenticated.
const prefix = "ea-sealed:1:"

// urlField is where a configuration has the URL that it calls.
const urlField = "url"

// Keys seal with one key and open with several, so that a key can be replaced.
// Nil Keys seal nothing and open nothing.
type Keys struct {
	current *key
	byID    map[string]*key
}

type key struct {
	id  string
	gcm cipher.AEAD
}

// head begins the values that the key seals.
func (k *key) head(target string) string {
	if target == "" {
		return prefix + k.id + ":"
	}
	return prefix + k.id + "@" + url.QueryEscape(target) + ":"
}

// New derives the keys from their texts. With current "" nothing is sealed any
// more; older ones are only for opening, and may be "".
func New(current string, older ...string) (*Keys, error) {
	k := &Keys{byID: map[string]*key{}}
	for i, text := range append([]string{current}, older...) {
		if text == "" {
			continue
		}
		made, err := derive(text)
		if err != nil {
			return nil, err
		}
		k.byID[made.id] = made
		if i == 0 {
			k.current = made
		}
	}
	return k, nil
}

// derive is fast on purpose: the text is a random key and not a password (the
// documentation says how to make one).
func derive(text string) (*key, error) {
	const size, idSize = 32, 4
	material, err := hkdf.Key(sha256.New, []byte(text), nil, "events-aggregator secrets of actions 1", size+idSize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(material[:size])
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	return &key{id: hex.EncodeToString(material[size:]), gcm: gcm}, nil
}

// Seal returns the configuration with every secret of the type sealed. It must
// hold no sealed value yet.
func (k *Keys) Seal(t action.Type, config bson.Raw) (bson.Raw, error) {
	if k == nil || k.current == nil {
		return config, nil
	}
	return rewrite(config, t.Mask(config), func(field, text string, secret bool) (string, error) {
		if !secret {
			return text, nil
		}
		head := k.current.head("")
		if field == urlField {
			head = k.current.head(outgoing.TargetOf(text))
		}
		nonce := make([]byte, k.current.gcm.NonceSize())
		if _, err := rand.Read(nonce); err != nil {
			return "", err
		}
		sealed := k.current.gcm.Seal(nonce, nonce, []byte(text), []byte(head))
		return head + base64.RawURLEncoding.EncodeToString(sealed), nil
	})
}

// Open returns the configuration with its secrets in the clear. The error is a
// *MissingKeyError or, when a value is damaged, another one; it comes with the
// configuration as far as it could be opened.
func (k *Keys) Open(config bson.Raw) (bson.Raw, error) {
	if !Sealed(config) {
		return config, nil
	}
	var failed error
	opened, err := rewrite(config, nil, func(_, text string, _ bool) (string, error) {
		plain, err := k.open(text)
		if err != nil {
			failed = errors.Join(failed, err)
			return text, nil
		}
		return plain, nil
	})
	return opened, errors.Join(err, failed)
}

func (k *Keys) open(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return text, nil
	}
	of, encoded, _ := strings.Cut(rest, ":")
	id, _, _ := strings.Cut(of, "@")
	var with *key
	if k != nil {
		with = k.byID[id]
	}
	if with == nil {
		return "", &MissingKeyError{KeyID: id}
	}
	sealed, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(sealed) < with.gcm.NonceSize() {
		return "", errDamaged
	}
	nonce, sealed := sealed[:with.gcm.NonceSize()], sealed[with.gcm.NonceSize():]
	plain, err := with.gcm.Open(nil, nonce, sealed, []byte(strings.TrimSuffix(text, encoded)))
	if err != nil {
		return "", errDamaged
	}
	return string(plain), nil
}

var errDamaged = errors.New("an encrypted secret of the action is damaged; save the rule again with the secret itself")

// MissingKeyError: the value was sealed with a key that these Keys do not have.
type MissingKeyError struct{ KeyID string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the action's secrets are encrypted with key %s, which this process does not have; "+
		"start it with EA_SECRET_KEY (or EA_SECRET_KEY_OLD) set to the key that the rule was saved with", e.KeyID)
}

// Current says whether the configuration is as Seal would make it now: every
// secret under the current key, or none sealed when there is no key.
func (k *Keys) Current(t action.Type, config bson.Raw) bool {
	_, changed, err := k.Renew(t, config)
	return err == nil && !changed
}

// Renew makes a stored configuration as Seal would make it now; changed is false
// when it is so already. The error is Open's.
func (k *Keys) Renew(t action.Type, config bson.Raw) (renewed bson.Raw, changed bool, err error) {
	opened, err := k.Open(config)
	if err != nil {
		return config, false, err
	}
	again, err := k.Seal(t, opened)
	if err != nil || slices.Equal(heads(config), heads(again)) {
		return config, false, err
	}
	return again, true, nil
}

// HasCurrent says whether there is a key to seal with.
func (k *Keys) HasCurrent() bool { return k != nil && k.current != nil }

// Target is whom a configuration's URL calls, also when that is sealed; "" when
// there is no telling.
func Target(config bson.Raw) string {
	text := event.Text(config, urlField)
	rest, sealed := strings.CutPrefix(text, prefix)
	if !sealed {
		return outgoing.TargetOf(text)
	}
	of, _, _ := strings.Cut(rest, ":")
	_, escaped, _ := strings.Cut(of, "@")
	target, err := url.QueryUnescape(escaped)
	if err != nil {
		return ""
	}
	return target
}

// heads are the keys that the texts are sealed with, "" for a text in the clear.
func heads(config bson.Raw) []string {
	var all []string
	contains(config, func(text string) bool {
		head := ""
		if strings.HasPrefix(text, prefix) {
			head = text[:strings.LastIndexByte(text, ':')]
		}
		all = append(all, head)
		return false
	})
	return all
}

// Hide is for showing: whatever is still sealed is masked.
func Hide(config bson.Raw) bson.Raw {
	if !Sealed(config) {
		return config
	}
	hidden, err := rewrite(config, nil, func(_, text string, _ bool) (string, error) {
		if strings.HasPrefix(text, prefix) {
			return action.Masked, nil
		}
		return text, nil
	})
	if err != nil {
		return nil
	}
	return hidden
}

// Sealed says whether any value is sealed.
func Sealed(config bson.Raw) bool {
	return bytes.Contains(config, []byte(prefix)) && // most are not: this is all that a delivery pays then
		contains(config, func(text string) bool { return strings.HasPrefix(text, prefix) })
}

// Masked says whether any value still carries a mask.
func Masked(config bson.Raw) bool {
	return contains(config, func(text string) bool { return strings.Contains(text, action.Masked) })
}
