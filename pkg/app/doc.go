// Package app is the composition root: it turns a configuration and a service's
// Wire into a running process, and stops it in order. There is one straight
// line up (logger, metrics, admin server, MongoDB, publish connection, consume
// connection, topology, Wire, workers) and one stack down.
package app
