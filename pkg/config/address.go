package config

import (
	"net"
	"strconv"
	"strings"
	"unicode"
)

const addressShape = "host:port, as 127.0.0.1:8080, [::1]:8080 or :0"

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func hasSpace(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) }
