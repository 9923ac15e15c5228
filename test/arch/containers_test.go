package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/pkg/config"
)

// container is what the specs look at of a service in docker-compose.yml.
type container struct {
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	Deploy struct {
		Resources struct {
			Limits struct {
				CPUs   string `yaml:"cpus"`
				Memory string `yaml:"memory"`
			} `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"deploy"`
}

var _ = Describe("the containers", func() {
	read := func(name string) string {
		GinkgoHelper()
		text, err := os.ReadFile(filepath.Join(root, name))
		Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	var services map[string]container
	BeforeEach(func() {
		var file struct {
			Services map[string]container `yaml:"services"`
		}
		Expect(yaml.Unmarshal([]byte(read("docker-compose.yml")), &file)).To(Succeed())
		services = file.Services
	})

	It("run every process, each with a health check and limits", func() {
		commands, err := os.ReadDir(filepath.Join(root, "cmd"))
		Expect(err).NotTo(HaveOccurred())
		for _, c := range commands {
			s, there := services[c.Name()]
			Expect(there).To(BeTrue(), c.Name())
			if c.Name() == "eactl" {
				continue
			}
			Expect(s.Command).To(Equal([]string{c.Name()}))
		}
		for name, s := range services {
			if name != "eactl" {
				Expect(s.Healthcheck.Test).NotTo(BeEmpty(), name)
			}
			Expect(s.Deploy.Resources.Limits.CPUs).NotTo(BeEmpty(), name)
			Expect(s.Deploy.Resources.Limits.Memory).NotTo(BeEmpty(), name)
		}
	})

	It("publish their ports on loopback alone", func() {
		for name, s := range services {
			for _, p := range s.Ports {
				Expect(p).To(HavePrefix("127.0.0.1:"), name)
			}
		}
	})

	It("are configured with variables that exist, to values that are taken", func() {
		image := regexp.MustCompile(`(?m)^ENV (.*)$`).FindStringSubmatch(read("Dockerfile"))[1]
		preset := regexp.MustCompile(`\$\{\w+:-([^${}]*)\}`)
		for name, s := range services {
			environ := strings.Fields(image)
			for k, v := range s.Environment {
				for preset.MatchString(v) {
					v = preset.ReplaceAllString(v, "$1")
				}
				environ = append(environ, k+"="+v)
			}
			_, err := config.Load(config.Options{Process: name, Environ: environ})
			Expect(err).NotTo(HaveOccurred(), name)
		}
	})

	It("are built with the Go version of go.mod", func() {
		version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read("go.mod"))[1]
		Expect(read("Dockerfile")).To(ContainSubstring("FROM golang:" + version + "-"))
	})
})
