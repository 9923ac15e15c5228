package process_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/fleet"
)

// names are the five, in the order of the pipeline.
var names = []string{"ingester", "rule-worker", "action-dispatcher", "aggregator", "api"}

// running is one started binary.
type running struct {
	name  string
	admin string
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts a binary of the fleet; fault is EA_FAULT, "" for none. It is
// killed when the spec ends, if it still runs.
func launch(f *fleet.Fleet, name, fault string) *running {
	GinkgoHelper()
	r := &running{name: name, admin: freeAddress(), ended: make(chan struct{})}
	r.cmd = exec.Command(bin + "/" + name)
	r.cmd.Env = append(cleanEnviron(),
		"EA_MONGO_URI="+f.MongoURI, "EA_MONGO_DATABASE="+f.Database, "EA_AMQP_URL="+f.AMQPURL, "EA_BROKER_PREFIX="+f.Prefix,
		"EA_ADMIN_ADDR="+r.admin, "EA_API_ADDR="+freeAddress(), "EA_DISPATCHER_ALLOW_NETWORKS=127.0.0.0/8",
		"EA_LEASE_BEAT=200ms", "EA_LEASE_TAKEOVER=1s", "EA_SWEEP_EVERY=300ms", "EA_FAULT="+fault)
	r.cmd.Stdout, r.cmd.Stderr = GinkgoWriter, GinkgoWriter
	Expect(r.cmd.Start()).To(Succeed())
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait()
	}()
	DeferCleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGKILL)
		<-r.ended
	})
	return r
}

// cleanEnviron is this process's environment without the product's settings.
func cleanEnviron() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "EA_") {
			env = append(env, e)
		}
	}
	return env
}

// freeAddress is a port of the loopback interface that nobody listens on now.
func freeAddress() string {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	return l.Addr().String()
}

// ready is the answer of /readyz; an error while nobody listens.
func (r *running) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return err
}

func (r *running) waitReady(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() error { return r.ready(ctx) }).WithTimeout(30 * time.Second).Should(Succeed())
}

// stop ends the process by SIGTERM; its exit code must be 0.
func (r *running) stop(ctx context.Context) {
	GinkgoHelper()
	Expect(r.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	Eventually(ctx, r.ended).WithTimeout(30 * time.Second).Should(BeClosed())
	Expect(r.cmd.ProcessState.ExitCode()).To(BeZero())
}
