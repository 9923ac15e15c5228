package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTime = 30 * time.Second
	stopTime  = 30 * time.Second
	// ticks is USER_HZ, the unit of processor time in /proc: 100 on Linux.
	ticks = 100
)

// process is a program that is measured.
type process struct {
	name, admin, public string
	cmd                 *exec.Cmd
	said                *bytes.Buffer
	ended               chan struct{}
}

// start runs one of the product's processes at this site.
func (s *site) start(name string, more ...string) (*process, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	public, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := launch(exec.Command(filepath.Join(s.bin, name)), append(append(cleanEnviron(),
		"EA_MONGO_URI="+s.mongoURI, "EA_MONGO_DATABASE="+s.database, "EA_AMQP_URL="+s.amqpURL, "EA_BROKER_PREFIX="+s.prefix,
		"EA_ADMIN_ADDR="+admin, "EA_API_ADDR="+public, "EA_DISPATCHER_ALLOW_NETWORKS=127.0.0.0/8", "EA_LOG_LEVEL=warn"), more...))
	if err != nil {
		return nil, err
	}
	p.name, p.admin, p.public = name, admin, public
	s.processes = append(s.processes, p)
	return p, nil
}

func launch(cmd *exec.Cmd, environ []string) (*process, error) {
	p := &process{name: filepath.Base(cmd.Path), cmd: cmd, said: &bytes.Buffer{}, ended: make(chan struct{})}
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, p.said, p.said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is asked below
	}()
	return p, nil
}

// cleanEnviron is this process's environment without the product's settings.
func cleanEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "EA_") })
}

// freeAddress is a port of the loopback interface that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the process works.
func (p *process) ready(ctx context.Context) error {
	return await(ctx, "start of "+p.name, 20*time.Millisecond, startTime, func() (bool, error) {
		return p.answers(ctx), p.runs()
	})
}

// answers is false, too, while the process does not listen yet.
func (p *process) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// runs is an error when the process has ended by itself.
func (p *process) runs() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended by itself: %s\n%s", p.name, p.cmd.ProcessState, p.said)
	default:
		return nil
	}
}

// terminate stops the process in order.
func (p *process) terminate() error {
	if err := p.runs(); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		return fmt.Errorf("%s did not stop within %s", p.name, stopTime)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s stopped with %s\n%s", p.name, p.cmd.ProcessState, p.said)
	}
	return nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// processorTime is what a process has used so far, user and system.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / ticks, err
}

// peakMemory is the most resident memory so far, in MiB.
func (p *process) peakMemory() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of %s", p.name)
}
