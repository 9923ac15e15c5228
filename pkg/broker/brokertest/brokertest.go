// Package brokertest helps specs that use a real RabbitMQ. Each call has names
// of its own, so that specs run side by side and again without cleaning up.
package brokertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/broker"
)

// URL is the test broker's. A missing one fails the spec: a suite that skips
// shows nothing.
func URL() string {
	ginkgo.GinkgoHelper()
	u := os.Getenv("EA_AMQP_URL")
	gomega.Expect(u).NotTo(gomega.BeEmpty(), "EA_AMQP_URL must name a RabbitMQ for this spec (scripts/infra starts one)")
	return u
}

// Addr is host:port of an AMQP URL, for a proxy in front of it.
func Addr(amqpURL string) string {
	ginkgo.GinkgoHelper()
	u, err := url.Parse(amqpURL)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if u.Port() == "" {
		return u.Host + ":5672"
	}
	return u.Host
}

// Through is the same URL with another host:port.
func Through(amqpURL, addr string) string {
	ginkgo.GinkgoHelper()
	u, err := url.Parse(amqpURL)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	u.Host = addr
	return u.String()
}

// Prefix is a fresh prefix for exchange and queue names.
func Prefix() string {
	var b [5]byte
	_, _ = rand.Read(b[:])
	return "test-" + hex.EncodeToString(b[:]) + "."
}

// Connect runs a connection until the spec ends, or until the returned function
// stops it.
func Connect(name, amqpURL string, reg prometheus.Registerer) (*broker.Connection, func()) {
	ginkgo.GinkgoHelper()
	c := broker.NewConnection(name, amqpURL, Log(), reg)
	return c, Go(c.Run)
}

// Go runs a worker until the spec ends, or until the returned function stops it
// and has waited for it. A worker's error fails the spec.
func Go(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			var err error
			gomega.Eventually(ended).WithTimeout(40 * time.Second).Should(gomega.Receive(&err))
			gomega.Expect(err).NotTo(gomega.HaveOccurred())
		})
	}
	ginkgo.DeferCleanup(stop)
	return stop
}

// Declare declares t and deletes it when the spec ends, over connections of its
// own.
func Declare(amqpURL string, t broker.Topology) {
	ginkgo.GinkgoHelper()
	with := func(do func(context.Context, *broker.Connection) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := broker.NewConnection("test-topology", amqpURL, zap.NewNop(), nil)
		running, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = c.Run(running) }()
		err := do(ctx, c)
		stop()
		<-ended
		return err
	}
	gomega.Expect(with(func(ctx context.Context, c *broker.Connection) error { return c.Declare(ctx, t) })).To(gomega.Succeed())
	ginkgo.DeferCleanup(func() {
		gomega.Expect(with(func(ctx context.Context, c *broker.Connection) error { return c.Remove(ctx, t) })).To(gomega.Succeed())
	})
}

// Log writes to the spec's output, which is shown when the spec fails.
func Log() *zap.Logger {
	config := zap.NewDevelopmentEncoderConfig()
	return zap.New(newCore(config))
}
