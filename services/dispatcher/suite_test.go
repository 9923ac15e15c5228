package dispatcher_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestDispatcher(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Dispatcher")
}

// measures labels the specs that compare times or rates: scripts/test runs them
// when nothing else runs.
var measures = Label("measures")
