package deadletter_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestDeadLetter(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "dead letters")
}
