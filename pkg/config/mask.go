package config

import (
	"net/url"
	"regexp"
	"strings"
)

// hidden stands for a secret.
const hidden = "********"

// secretOptions are the options of a MongoDB connection string that hold
// secrets.
var secretOptions = regexp.MustCompile(`(?i)([?&](?:tlsCertificateKeyFilePassword|sslClientCertificateKeyPassword|authMechanismProperties|proxyPassword)=)[^&]*`)

// noPort is what stands where a port should, when there is no @: a password
// whose @ and host were forgotten.
var noPort = regexp.MustCompile(`(^[^/?\[]*?:)(?:[^/?,]*[^/?,0-9][^/?,]*)`)

// MaskURI hides the password of a connection string and keeps the rest, so
// that a line can say where a process connects. It works on strings that are
// no valid URI too: everything up to the last @ is taken for user information.
func MaskURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return hidden
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, _, hasPassword := strings.Cut(rest[:at], ":")
		if hasPassword {
			user += ":" + hidden
		}
		rest = user + rest[at:]
	} else {
		rest = noPort.ReplaceAllString(rest, "${1}"+hidden)
	}
	return secretOptions.ReplaceAllString(scheme+"://"+rest, "${1}"+hidden)
}

// mask hides a secret of any kind.
func mask(secret string) string {
	if strings.Contains(secret, "://") {
		return MaskURI(secret)
	}
	return hidden
}

// userinfoDecodes: an unescaped % in a password is the usual reason why a
// connection string does not parse, and the parser's own words would show it.
func userinfoDecodes(uri string) bool {
	_, rest, _ := strings.Cut(uri, "://")
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return true
	}
	if strings.ContainsAny(rest[:at], "@/") {
		return false
	}
	_, err := url.PathUnescape(rest[:at])
	return err == nil
}
