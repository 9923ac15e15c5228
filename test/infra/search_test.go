package infra_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// tools are all that scripts/infra calls on every machine.
var tools = []string{
	"bash", "cat", "cksum", "cut", "date", "dirname", "env", "flock", "grep", "head", "mkdir", "mv", "nohup", "ps", "rm",
	"sed", "setsid", "sleep", "tail", "timeout", "touch", "tr", "uname",
}

// machine is a place whose PATH holds nothing but tools and Go, with a user who
// is not root, an empty home and no RabbitMQ; what a spec adds to it are
// programs that stand for what other machines have.
type machine struct {
	*place
	bin, cache string
}

func newMachine(ctx context.Context) *machine {
	GinkgoHelper()
	m := &machine{bin: GinkgoT().TempDir(), cache: GinkgoT().TempDir()}
	home := GinkgoT().TempDir()
	m.place = newPlace() // last: it is stopped with the tools that are removed after it
	for _, tool := range tools {
		if found, err := exec.LookPath(tool); err == nil { // setsid and flock are Linux's
			Expect(os.Symlink(found, filepath.Join(m.bin, tool))).To(Succeed())
		}
	}
	goenv := func(name string) string {
		out, err := exec.CommandContext(ctx, "go", "env", name).Output()
		Expect(err).NotTo(HaveOccurred())
		return strings.TrimSpace(string(out))
	}
	root := goenv("GOROOT")
	Expect(os.Symlink(filepath.Join(root, "bin", "go"), filepath.Join(m.bin, "go"))).To(Succeed())
	m.program("id", "echo 1000")
	m.env = []string{
		"PATH=" + m.bin, "HOME=" + home, "XDG_CACHE_HOME=" + m.cache, "TMPDIR=" + os.TempDir(),
		"GOROOT=" + root, "GOCACHE=" + goenv("GOCACHE"), "GOMODCACHE=" + goenv("GOMODCACHE"), "CGO_ENABLED=0",
		"RABBITMQ_HOME=/nowhere", "EA_RUN_DIR=" + m.dir,
	}
	return m
}

// program puts a shell script on PATH, or elsewhere by an absolute name.
func (m *machine) program(name, text string) {
	GinkgoHelper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(m.bin, name)
	}
	Expect(os.MkdirAll(filepath.Dir(name), 0o755)).To(Succeed())
	Expect(os.WriteFile(name, []byte("#!/usr/bin/env bash\n"+text+"\n"), 0o755)).To(Succeed())
}

// docker is an engine whose containers are files, and which cannot start some.
func (m *machine) docker(broken ...string) {
	state := filepath.Join(m.dir, "containers")
	Expect(os.MkdirAll(state, 0o755)).To(Succeed())
	m.program("docker", fmt.Sprintf(`echo "$*" >>%[1]s/calls
service=${!#}
case " $* " in
*" up "*)
	[[ " %[2]s " != *" $service "* ]] || { echo "no such image" >&2; exit 1; }
	touch "%[1]s/$service" ;;
*" stop "*) rm -f "%[1]s/$service" ;;
*" ps "*) [[ ! -e %[1]s/$service ]] || echo 0123abcd ;;
esac`, state, strings.Join(broken, " ")))
}

// refused is what up says when it fails.
func (m *machine) refused(ctx context.Context) string {
	GinkgoHelper()
	out, err := m.infra(ctx, "up")
	Expect(err).To(HaveOccurred(), out)
	return out
}

var _ = Describe("the search for servers", func() {
	var m *machine
	BeforeEach(func(ctx SpecContext) { m = newMachine(ctx) })

	const limit = 2 * time.Minute // the first builds scripts/probe

	It("says what to install where there is neither root nor Docker nor Python", func(ctx SpecContext) {
		Expect(m.refused(ctx)).To(And(
			ContainSubstring("no MongoDB: EA_MONGO_URI is not set, there is no mongod on PATH, there is no docker on PATH, "+
				"there is no secantusd-rs (make mongo-fast builds one) and there is no Python 3.10–3.13 that can make virtual environments, and installing it (python3, python3-venv) needs root and apt."),
			MatchRegexp(`Install one of: MongoDB 7 .*, Docker with Compose, Rust \(then: make mongo-fast\), or Python 3\.10–3\.13 with venv \(Debian: apt-get install python3 python3-venv\)`),
		))
	}, NodeTimeout(limit))

	It("tries each MongoDB in its order, and says of each why it was passed over", func(ctx SpecContext) {
		m.program("mongod", "exit 1")
		m.docker("mongodb")
		m.program("secantusd-rs", "exit 1")
		wheel := filepath.Join(m.cache, "events-aggregator", "secantus-"+m.constant("WHEEL_VERSION"))
		m.program(filepath.Join(wheel, "bin", "python"), `[[ $1 == -c ]]`)
		m.program(filepath.Join(wheel, "complete"), "")
		Expect(m.refused(ctx)).To(MatchRegexp(`(?s)mongod did not start.*MongoDB in Docker Compose did not start.*` +
			`secantusd-rs \(SecantusDB, Rust\) did not start.*\(Python wheel\) did not start.*` +
			`no MongoDB: EA_MONGO_URI is not set, mongod did not start \(log: \S+/mongod\.log\), ` +
			`MongoDB in Docker Compose did not start \(log: \S+/docker\.log\), secantusd-rs .* and SecantusDB .* did not start`))
	}, NodeTimeout(limit))

	It("takes what the environment names, and neither starts nor stops it", func(ctx SpecContext) {
		m.program("mongod", "exit 1")
		m.docker()
		m.env = append(m.env, "EA_MONGO_URI=mongodb://db.example/?replicaSet=x", "EA_AMQP_URL=amqp://user:pass@mq.example/")
		Expect(m.succeed(ctx, "up")).To(And(
			ContainSubstring("MongoDB: the one EA_MONGO_URI names (neither started nor stopped here)"),
			ContainSubstring("RabbitMQ: the one EA_AMQP_URL names (neither started nor stopped here)"),
			Not(ContainSubstring("pass")),
		))
		mongoURI, amqpURL := m.addresses(ctx)
		Expect(mongoURI).To(Equal("mongodb://db.example/?replicaSet=x"))
		Expect(amqpURL).To(Equal("amqp://user:pass@mq.example/"))
		Expect(m.succeed(ctx, "down")).To(ContainSubstring("Nothing that was started here is running"))
		Expect(filepath.Join(m.dir, "containers", "calls")).NotTo(BeAnExistingFile())
	}, NodeTimeout(limit))

	It("stops the MongoDB that it started when the environment names another", func(ctx SpecContext) {
		m.docker()
		m.env = append(m.env, "EA_RABBITMQ=docker")
		m.succeed(ctx, "up")
		mongoURI, _ := m.addresses(ctx)
		m.env = append(m.env, "EA_MONGO_URI="+mongoURI+"&appName=mine")
		Expect(m.succeed(ctx, "up")).NotTo(ContainSubstring("stopping"), "named in other words")
		m.env = append(m.env, "EA_MONGO_URI=mongodb://db.example/?replicaSet=x")
		Expect(m.succeed(ctx, "up")).To(And(
			ContainSubstring("MongoDB: stopping MongoDB in Docker Compose, since EA_MONGO_URI names another"),
			ContainSubstring("MongoDB: the one EA_MONGO_URI names (neither started nor stopped here)"),
		))
		Expect(m.read("containers/calls")).To(ContainSubstring("stop mongodb"))
		Expect(m.succeed(ctx, "down")).To(And(ContainSubstring("RabbitMQ: stopping"), Not(ContainSubstring("MongoDB"))))
	}, NodeTimeout(limit))

	It("starts both in Docker Compose, once, and stops both", func(ctx SpecContext) {
		m.docker()
		m.env = append(m.env, "EA_INFRA_PRIVATE=1") // else one on localhost comes first
		Expect(m.succeed(ctx, "up")).To(And(
			MatchRegexp(`MongoDB in Docker Compose on port \d+, because there is no mongod on PATH and a Docker engine answers`),
			MatchRegexp(`RabbitMQ in Docker Compose on port \d+, because a Docker engine answers`),
		))
		Expect(m.succeed(ctx, "up")).To(And(
			MatchRegexp(`MongoDB in Docker Compose, already running`), MatchRegexp(`RabbitMQ in Docker Compose, already running`),
		))
		calls := func() string { return m.read("containers/calls") }
		Expect(strings.Count(calls(), " up -d ")).To(Equal(2))
		Expect(m.succeed(ctx, "down")).To(And(ContainSubstring("MongoDB: stopping"), ContainSubstring("RabbitMQ: stopping")))
		Expect(calls()).To(And(ContainSubstring("stop mongodb"), ContainSubstring("stop rabbitmq")))
		Expect(m.succeed(ctx, "down")).To(ContainSubstring("Nothing that was started here is running"))
	}, NodeTimeout(limit))

	It("says of RabbitMQ, too, what was looked for and what to install", func(ctx SpecContext) {
		m.docker("rabbitmq")
		m.env = append(m.env, "EA_INFRA_PRIVATE=1")
		Expect(m.refused(ctx)).To(And(
			MatchRegexp(`no RabbitMQ: EA_AMQP_URL is not looked at \(EA_INFRA_PRIVATE is set\), RabbitMQ in Docker Compose did not start \(log: \S+/docker\.log\) `+
				`and rabbitmq-server is not installed, and installing it needs root and apt\.`),
			ContainSubstring("no such image"), // Docker's own words
			MatchRegexp(`Install one of: RabbitMQ .*apt-get install rabbitmq-server.*, or Docker with Compose`),
		))
	}, NodeTimeout(limit))

	DescribeTable("takes only what is asked for",
		func(ctx SpecContext, setting, reason string) {
			m.program("mongod", "exit 1")
			m.env = append(m.env, setting)
			Expect(m.refused(ctx)).To(ContainSubstring(reason))
		},
		Entry("no such kind", "EA_MONGO=oracle", "EA_MONGO=oracle: must be one of mongod, docker, rust, wheel", NodeTimeout(limit)),
		Entry("what does not start", "EA_MONGO=mongod", "EA_MONGO=mongod: mongod did not start", NodeTimeout(limit)),
		Entry("Docker, without it", "EA_MONGO=docker", "EA_MONGO=docker: there is no docker on PATH", NodeTimeout(limit)),
		Entry("Rust, not built", "EA_MONGO=rust", "EA_MONGO=rust: there is no secantusd-rs (make mongo-fast builds one)", NodeTimeout(limit)),
		Entry("the wheel, without Python", "EA_MONGO=wheel", "EA_MONGO=wheel: there is no Python 3.10–3.13 that can make virtual environments, and installing it (python3, python3-venv) needs root and apt", NodeTimeout(limit)),
	)
})

// constant is the value of one of scripts/infra's.
func (m *machine) constant(name string) string {
	GinkgoHelper()
	text, err := os.ReadFile("../../scripts/infra.d/mongodb.sh")
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	Fail(name + " is not there")
	return ""
}
