package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// names are the five, in the order of the pipeline.
var names = []string{"ingester", "rule-worker", "action-dispatcher", "aggregator", "api"}

// patience is how long a process may take for one step of its life. The servers
// stand still for ten seconds when somebody died inside a transaction, and other
// specs have their share of the machine.
const patience = time.Minute

// killed is the exit code of a process that died of SIGKILL.
const killed = 128 + 9

// running is one started binary.
type running struct {
	*gexec.Session
	name  string
	admin string
}

func (r *running) String() string { return r.name }

// start starts a binary with these settings alone. It is killed when the spec
// ends, if it still runs.
func start(name string, env []string, args ...string) *running {
	GinkgoHelper()
	r := &running{name: name, admin: freeAddress()}
	cmd := exec.Command(bin+"/"+name, args...)
	cmd.Env = append(append(cleanEnviron(), "EA_ADMIN_ADDR="+r.admin, "EA_API_ADDR="+freeAddress()), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also a paused one ends with the specs
	var err error
	r.Session, err = gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { <-r.Kill().Exited })
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

// ports counts the addresses that were given out: none is given out twice.
var ports atomic.Int64

// freeAddress is a port of the loopback interface that nobody listens on now.
// It is below those that the kernel gives to connections, which come and go all
// the time, and below those that scripts/infra gives to servers, which take theirs
// again after a restart.
func freeAddress() string {
	GinkgoHelper()
	const first, count = 10_000, 10_000
	for range 100 {
		port := first + (int64(os.Getpid())*101+ports.Add(1))%count
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatInt(port, 10)))
		if err == nil {
			Expect(l.Close()).To(Succeed())
			return l.Addr().String()
		}
	}
	Fail("no free port")
	return ""
}

// readiness is the answer of /readyz.
type readiness struct {
	Code    int               `json:"-"`
	Ready   bool              `json:"ready"`
	Reasons map[string]string `json:"reasons"`
}

// ready asks /readyz; an error while nobody listens.
func (r *running) ready(ctx context.Context) (answer readiness, err error) {
	if code := r.ExitCode(); code >= 0 {
		return answer, fmt.Errorf("%s ended with %d", r.name, code)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/readyz", nil)
	if err != nil {
		return answer, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	answer.Code = response.StatusCode
	return answer, json.Unmarshal(body, &answer)
}

func (r *running) waitReady(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		if r.ExitCode() >= 0 {
			StopTrying(fmt.Sprintf("%s ended with %d", r.name, r.ExitCode())).Now()
		}
		answer, err := r.ready(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Ready).To(BeTrue(), "%s: %v", r.name, answer.Reasons)
	}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Succeed())
}

// kill ends the process as a crash would.
func (r *running) kill(ctx context.Context) {
	GinkgoHelper()
	r.Kill()
	r.waitExit(ctx, killed)
}

// stop ends the process by SIGTERM; its exit code must be 0.
func (r *running) stop(ctx context.Context) {
	GinkgoHelper()
	r.Terminate()
	r.waitEnded(ctx, 0)
}

// waitEnded waits for the end of the process with this exit code; killed is by the
// fault point that it was started with.
func (r *running) waitEnded(ctx context.Context, code int) {
	GinkgoHelper()
	r.waitExit(ctx, code)
	if code == killed {
		passedPoint(r.Command.Env, "kill")
	}
}

func (r *running) waitExit(ctx context.Context, code int) {
	GinkgoHelper()
	Eventually(ctx, r.Exited).WithTimeout(patience).Should(BeClosed(), r.name)
	Expect(r.ExitCode()).To(Equal(code), r.name)
}

// log is what the process has written to its log.
func (r *running) log() string { return string(r.Err.Contents()) }

// stopAll ends processes by SIGTERM at the same moment.
func stopAll(ctx context.Context, processes ...*running) {
	GinkgoHelper()
	for _, r := range processes {
		r.Signal(syscall.SIGTERM)
	}
	for _, r := range processes {
		r.waitEnded(ctx, 0)
	}
}
