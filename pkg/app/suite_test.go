package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/events-aggregator/events-aggregator/pkg/app"
	"github.com/events-aggregator/events-aggregator/pkg/config"
)

func TestApp(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "app")
}

// nothing is a service without parts.
func nothing(context.Context, *app.Process) error { return nil }

// nowhere is an address on which nothing listens.
func nowhere(ctx context.Context) string {
	GinkgoHelper()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// alone is a configuration with no server behind it.
func alone(ctx context.Context) config.Config {
	GinkgoHelper()
	c := config.Defaults("ingester")
	c.Mongo.URI = "mongodb://" + nowhere(ctx) + "/"
	c.AMQP.URL = "amqp://guest:hush@" + nowhere(ctx) + "/"
	c.Admin.Addr = "127.0.0.1:0"
	return c
}

// observed is a logger that keeps its lines, and shows them when a spec fails.
func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, lines := observer.New(zap.InfoLevel)
	shown := zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(GinkgoWriter), zap.DebugLevel)
	return zap.New(zapcore.NewTee(core, shown)), lines
}

// leakless expects every goroutine that the spec started to be gone.
func leakless() {
	before := gleak.Goroutines()
	DeferCleanup(func() {
		Eventually(gleak.Goroutines).WithTimeout(10 * time.Second).ShouldNot(gleak.HaveLeaked(before))
	})
}

// stopped stops a process at the end of the spec, if the spec did not.
func stopped(r *app.Running) *app.Running {
	DeferCleanup(func(ctx SpecContext) { _ = r.Stop(ctx) }, NodeTimeout(30*time.Second))
	return r
}

// get asks over a connection of its own.
func get(ctx context.Context, addr, path string) (int, map[string]any) {
	GinkgoHelper()
	code, body, err := fetch(ctx, addr, path)
	Expect(err).NotTo(HaveOccurred())
	var answer map[string]any
	Expect(json.Unmarshal([]byte(body), &answer)).To(Succeed(), body)
	return code, answer
}

func fetch(ctx context.Context, addr, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), errors.Join(err, response.Body.Close())
}
