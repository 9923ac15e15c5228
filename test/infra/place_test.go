// Package infra_test tries scripts/infra and scripts/run, each in a run directory
// of its own with servers of its own.
package infra_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// place is a run directory, and what its scripts see of the environment.
type place struct {
	dir string
	env []string
}

// newPlace ends with the container or spec that makes it: what was started
// there is stopped. Nothing that the caller's environment says about other
// servers is seen, save which kind of MongoDB is wanted.
func newPlace() *place {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "ea-infra-")
	Expect(err).NotTo(HaveOccurred())
	p := &place{dir: dir}
	DeferCleanup(func() error { return os.RemoveAll(dir) })
	DeferCleanup(func(ctx SpecContext) { p.succeed(ctx, "down") }, NodeTimeout(2*time.Minute))
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "EA_") || strings.HasPrefix(e, "EA_MONGO=") {
			p.env = append(p.env, e)
		}
	}
	p.env = append(p.env, "EA_RUN_DIR="+dir, "EA_INFRA_PRIVATE=1")
	return p
}

// script is scripts/NAME here, with more of an environment.
func (p *place) script(ctx context.Context, name string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "../../scripts/"+name, args...)
	cmd.Env = append(append(cmd.Env, p.env...), env...)
	// A server that held the script's output open would hold its caller.
	cmd.WaitDelay = time.Second
	return cmd
}

// infra returns all that scripts/infra says.
func (p *place) infra(ctx context.Context, args ...string) (string, error) {
	out, err := p.script(ctx, "infra", nil, args...).CombinedOutput()
	GinkgoWriter.Printf("scripts/infra %s\n%s", strings.Join(args, " "), out)
	return string(out), err
}

func (p *place) succeed(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := p.infra(ctx, args...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

func (p *place) read(name string) string {
	GinkgoHelper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(b))
}

// pid of a record such as mongodb/pid or run/api.pid.
func (p *place) pid(record string) int {
	GinkgoHelper()
	first, _, _ := strings.Cut(p.read(record), " ")
	n, err := strconv.Atoi(first)
	Expect(err).NotTo(HaveOccurred())
	return n
}

// addresses are those of MongoDB and of RabbitMQ.
func (p *place) addresses(ctx context.Context) (mongoURI, amqpURL string) {
	GinkgoHelper()
	for line := range strings.Lines(p.succeed(ctx, "env")) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		value = strings.ReplaceAll(value, `\`, "") // bash's quoting
		switch name {
		case "EA_MONGO_URI":
			mongoURI = value
		case "EA_AMQP_URL":
			amqpURL = value
		}
	}
	return mongoURI, amqpURL
}
