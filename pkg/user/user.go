// Package user is who may ask: users, their roles and their API keys.
package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Role decides what a user may do.
type Role string

// Admin may change rules, users and replay; User reads.
const (
	Admin Role = "admin"
	Plain Role = "user"
)

// User is a document of the collection `users`.
type User struct {
	ID          string      `bson:"_id" json:"user_id"`
	Email       string      `bson:"email" json:"email"`
	Name        string      `bson:"name" json:"name"`
	Role        Role        `bson:"role" json:"role"`
	Preferences Preferences `bson:"preferences" json:"preferences"`
	APIKeys     []APIKey    `bson:"api_keys" json:"api_keys"`
	Version     int         `bson:"version" json:"version"` // rises with every change but those of keys
	CreatedBy   string      `bson:"created_by,omitempty" json:"created_by,omitempty"`
	CreatedAt   time.Time   `bson:"created_at" json:"created_at"`
	UpdatedAt   time.Time   `bson:"updated_at" json:"updated_at"`
}

// KeysMost bounds the keys of one user. Those that expired make room for new
// ones.
const KeysMost = 20

// Key is the user's key of an id.
func (u User) Key(id string) (APIKey, bool) {
	for _, k := range u.APIKeys {
		if k.ID == id {
			return k, true
		}
	}
	return APIKey{}, false
}

// Enters says whether one of the user's keys is in force.
func (u User) Enters(now time.Time) bool {
	return slices.ContainsFunc(u.APIKeys, func(k APIKey) bool { return !k.Expired(now) })
}

// Preferences choose how and about what a user is told.
type Preferences struct {
	NotificationChannels []string `bson:"notification_channels" json:"notification_channels"`
	EventTypes           []string `bson:"event_types" json:"event_types"`
}

// Wants says whether the user wants to hear of an event type; who chose none
// hears of all.
func (p Preferences) Wants(eventType string) bool {
	return len(p.EventTypes) == 0 || slices.Contains(p.EventTypes, eventType)
}

// Channels are those that the user chose, else the fallback.
func (p Preferences) Channels(fallback string) []string {
	if len(p.NotificationChannels) == 0 {
		return []string{fallback}
	}
	return p.NotificationChannels
}

// APIKey is one key of a user. The key itself is shown once and never kept.
type APIKey struct {
	ID         string     `bson:"id" json:"id"`
	Hash       string     `bson:"hash" json:"-"`
	Prefix     string     `bson:"prefix" json:"prefix"` // for people to tell keys apart
	Name       string     `bson:"name,omitempty" json:"name,omitempty"`
	CreatedAt  time.Time  `bson:"created_at" json:"created_at"`
	LastUsedAt *time.Time `bson:"last_used_at,omitempty" json:"last_used_at,omitempty"`
	ExpiresAt  *time.Time `bson:"expires_at,omitempty" json:"expires_at,omitempty"`
}

// Expired says whether the key's time is over.
func (k APIKey) Expired(now time.Time) bool { return k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) }

const (
	keyPrefix    = "ea_"
	keyBytes     = 24 // 192 bits: a plain SHA-256 of it cannot be searched
	shownOfKey   = 8
	minKeyLength = 16
)

// NewKey makes an API key and what is stored of it.
func NewKey(now time.Time) (plain string, key APIKey, err error) {
	secret := make([]byte, keyBytes)
	if _, err := rand.Read(secret); err != nil {
		return "", APIKey{}, fmt.Errorf("make API key: %w", err)
	}
	plain = keyPrefix + base64.RawURLEncoding.EncodeToString(secret)
	key, err = KeyFrom(plain, now)
	return plain, key, err
}

// KeyFrom is what is stored of a given key. A key shorter than 16 characters
// is refused: its hash could be searched.
func KeyFrom(plain string, now time.Time) (APIKey, error) {
	if len(plain) < minKeyLength {
		return APIKey{}, fmt.Errorf("an API key needs %d characters or more, this one has %d", minKeyLength, len(plain))
	}
	hash := HashKey(plain)
	return APIKey{ID: "key_" + hash[:12], Hash: hash, Prefix: plain[:shownOfKey], CreatedAt: now}, nil
}

// HashKey is the stored form of a key: SHA-256, hex.
func HashKey(plain string) string {
	sum := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(sum[:])
}
