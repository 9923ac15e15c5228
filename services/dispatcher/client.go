package dispatcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// dialTimeout bounds connecting alone: an address that swallows packets must
	// not take a call's whole time.
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	// idleTimeout is below the 60 s after which common receivers close a
	// connection that is not used, so that it is us who closes it.
	idleTimeout     = 50 * time.Second
	maxIdle         = 1024
	maxAnswerHeader = 64 << 10
	// maxAnswer is how much of an answer's body is read: beyond it the
	// connection is closed instead of used again.
	maxAnswer = 16 << 10
)

// newTransport is how all outgoing HTTP goes: guarded at connect time, TLS
// verified, no proxy (one from the environment would connect for us, behind
// the guard's back), connections used again. It follows no redirects, since
// RoundTrip never does.
func newTransport(g guard, resolver *net.Resolver, perHost int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: g.control, Resolver: resolver}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    perHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // answers are short; and what is recorded is what was sent
	}
}

// answer is what came back from an HTTP call.
type answer struct {
	status int
	header http.Header
	body   []byte // at most maxAnswer
}

// exchange sends req and reads the answer. An answer that breaks off counts as
// none: nobody knows what its sender did after it.
func exchange(t http.RoundTripper, req *http.Request) (answer, error) {
	res, err := t.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the connection itself, which heeds no time-out.
		return answer{status: res.StatusCode, header: res.Header}, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, &cutOff{status: res.StatusCode, err: err}
	}
	if len(body) > maxAnswer {
		body = body[:maxAnswer]
	}
	return answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

// cutOff is an answer whose body did not arrive whole.
type cutOff struct {
	status int
	err    error
}

func (e *cutOff) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *cutOff) Unwrap() error { return e.err }

// Classes of failed calls.
const (
	classRefusedAddress = "address_refused"
	classDNS            = "dns"
	classTLS            = "tls"
	classConnection     = "connection"
	classCutOff         = "cut_off"
)

// failureClass names a transport error. All are tried again but a refused
// address, which only a change of configuration helps.
func failureClass(err error) (class string, permanent bool) {
	if _, refused := isRefused(err); refused {
		return classRefusedAddress, true
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return classTimeout, false
	}
	var cut *cutOff
	if errors.As(err, &cut) {
		return classCutOff, false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return classDNS, false
	}
	if isTLS(err) {
		return classTLS, false
	}
	return classConnection, false
}

func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &host) || errors.As(err, &authority)
}
