// Package servers runs a pair of servers that belongs to one spec, by
// scripts/infra: the spec may stop, restart and kill them.
package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Pair is MongoDB and RabbitMQ, private to a spec.
type Pair struct {
	MongoURI, AMQPURL string

	script, dir string
}

// Private starts a pair; it is stopped and removed when the spec ends, or by
// scripts/infra down when the test process could not. root is the repository.
func Private(ctx context.Context, root string) *Pair {
	ginkgo.GinkgoHelper()
	dir, err := os.MkdirTemp(pairs(), "")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	p := &Pair{script: filepath.Join(root, "scripts", "infra"), dir: dir}
	ginkgo.DeferCleanup(func(ctx ginkgo.SpecContext) {
		p.Infra(ctx, "down")
		_ = os.RemoveAll(dir)
	}, ginkgo.NodeTimeout(2*time.Minute))
	p.Infra(ctx, "up")
	for line := range strings.Lines(p.Infra(ctx, "env")) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		value = strings.ReplaceAll(value, `\`, "") // bash's quoting
		switch name {
		case "EA_MONGO_URI":
			p.MongoURI = value
		case "EA_AMQP_URL":
			p.AMQPURL = value
		}
	}
	gomega.Expect(p.MongoURI).NotTo(gomega.BeEmpty())
	gomega.Expect(p.AMQPURL).NotTo(gomega.BeEmpty())
	return p
}

// pairs is where scripts/infra down looks for pairs that were left behind, or ""
// for the system's temporary folder, when the specs run without scripts/test.
func pairs() string {
	run := os.Getenv("EA_RUN_DIR")
	if run == "" {
		return ""
	}
	dir := filepath.Join(run, "pairs")
	gomega.Expect(os.MkdirAll(dir, 0o755)).To(gomega.Succeed())
	return dir
}

// Infra runs scripts/infra for this pair: restart mongo, kill rabbitmq, …
func (p *Pair) Infra(ctx context.Context, args ...string) string {
	ginkgo.GinkgoHelper()
	cmd := exec.CommandContext(ctx, p.script, args...)
	for _, e := range os.Environ() { // of what it says about servers, only which kind is wanted
		if !strings.HasPrefix(e, "EA_") || strings.HasPrefix(e, "EA_MONGO=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "EA_RUN_DIR="+p.dir, "EA_INFRA_PRIVATE=1")
	cmd.WaitDelay = time.Second // a server that held the script's output open would hold its caller
	out, err := cmd.CombinedOutput()
	ginkgo.GinkgoWriter.Printf("scripts/infra %s\n%s", strings.Join(args, " "), out)
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), "%s", out)
	return string(out)
}
