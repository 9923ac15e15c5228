package ruleworker_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestRuleWorker(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Rule-worker")
}
