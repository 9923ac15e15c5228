package failed_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestFailed(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "oncemore")
}
