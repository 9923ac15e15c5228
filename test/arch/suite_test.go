// Package arch_test holds the architecture as data and checks the code against
// it: who may import whom, which calls are banned and what replaces them, how
// long a file may be, and that every entry of a table has its cases. It needs
// no servers.
package arch_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestArchitecture(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "architecture")
}
