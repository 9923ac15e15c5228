package main

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Other ports are taken from below the range that kernels use for outgoing
// connections (32768 and up on Linux), since a server must get its port back
// when it is restarted.
const (
	firstPort = 20000
	lastPort  = 29999
	portTries = 200
)

var errNoPort = errors.New("no free port found")

func freePort(wanted []string) (int, error) {
	for _, text := range wanted {
		if port, err := strconv.Atoi(text); err == nil && free(port) {
			return port, nil
		}
	}
	for range portTries {
		if port := firstPort + rand.IntN(lastPort-firstPort+1); free(port) {
			return port, nil
		}
	}
	return 0, errNoPort
}

// free asks for the port on every interface and on loopback alone: a program
// on one of them does not keep the kernel from giving out the other.
func free(port int) bool {
	for _, host := range []string{"", "127.0.0.1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		if err := l.Close(); err != nil {
			return false
		}
	}
	return true
}
