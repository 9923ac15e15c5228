package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// Session is a browser that signed in with an API key. It is in force while the
// key is, until ExpiresAt at most.
type Session struct {
	Hash      string    `bson:"_id"` // of the token, which only the browser has
	KeyHash   string    `bson:"key_hash"`
	UserID    string    `bson:"user_id"`
	CreatedAt time.Time `bson:"created_at"`
	ExpiresAt time.Time `bson:"expires_at"`
}

const sessionBytes = 32

// NewSession makes a session, and the token for the browser's cookie.
func NewSession(keyHash, userID string, now time.Time, lifetime time.Duration) (token string, s Session, err error) {
	secret := make([]byte, sessionBytes)
	if _, err := rand.Read(secret); err != nil {
		return "", Session{}, fmt.Errorf("make session: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(secret)
	return token, Session{Hash: HashKey(token), KeyHash: keyHash, UserID: userID, CreatedAt: now, ExpiresAt: now.Add(lifetime)}, nil
}

// CSRFToken is what a page must send beside the cookie with every change. It
// follows from the cookie's token, which no page can read, and tells nothing
// about it.
func CSRFToken(sessionToken string) string {
	sum := sha256.Sum256([]byte("csrf\x00" + sessionToken))
	return hex.EncodeToString(sum[:])
}
