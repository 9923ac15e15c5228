// Command screenshots runs the product as `make run` does, on servers of its own,
// gives it two hours of sample traffic, and takes the pictures of README.md and of
// every view of the dashboard, light and dark, wide and narrow.
//
//	go run ./scripts/screenshots [-readme deploy] [-all .run/screenshots]
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	readme := flag.String("readme", "deploy", "folder for the pictures of README.md")
	all := flag.String("all", ".run/screenshots", "folder for all others")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	here, err := startProduct(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, here.end()) }()
	fmt.Println("Publishing two hours of sample traffic.")
	story, err := here.fill(ctx)
	if err != nil {
		return err
	}
	fmt.Println("Taking pictures.")
	return takePictures(ctx, here, story, *readme, *all)
}

// product is a running scripts/run.
type product struct {
	base, key string

	script *exec.Cmd
	dir    string
}

const (
	setUpTime = 10 * time.Minute // the servers may have to be fetched
	endTime   = time.Minute
)

var announced = regexp.MustCompile(`Dashboard +(http://\S+/)#key=(\S+)`)

// startProduct starts it with a run directory of its own below .run/pairs, where
// `make down` finds what a crash may leave.
func startProduct(ctx context.Context) (*product, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p := &product{dir: filepath.Join(root, ".run", "pairs", "screenshots")}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, err
	}
	p.script = exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(root, "scripts", "run"))
	p.script.Env = append(os.Environ(), "EA_RUN_DIR="+p.dir, "EA_INFRA_PRIVATE=1", "RUN_RATE=4")
	p.script.Stderr = os.Stderr
	p.script.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends this program, which ends it
	out, err := p.script.StdoutPipe()
	if err == nil {
		err = p.script.Start()
	}
	if err != nil {
		return nil, err
	}
	found := make(chan error, 1)
	go func() { found <- p.listen(out) }()
	timer := time.NewTimer(setUpTime)
	defer timer.Stop()
	select {
	case err = <-found:
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = fmt.Errorf("scripts/run said no address within %s", setUpTime)
	}
	if err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

// listen returns when the script has said where the dashboard is; the rest of what
// it says is read and forgotten.
func (p *product) listen(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := announced.FindStringSubmatch(lines.Text()); m != nil {
			p.base, p.key = m[1], m[2]
			go func() { _, _ = io.Copy(io.Discard, out) }() // until it ends
			return nil
		}
		fmt.Println(lines.Text())
	}
	return errors.New("scripts/run ended before it said an address")
}

// end stops what runs and removes what it stored.
func (p *product) end() error {
	_ = p.script.Process.Signal(os.Interrupt) // it may have ended
	p.script.WaitDelay = endTime
	timer := time.AfterFunc(endTime, func() { _ = p.script.Process.Kill() })
	defer timer.Stop()
	_ = p.script.Wait() // interrupted, it says so
	return os.RemoveAll(p.dir)
}
