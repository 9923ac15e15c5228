// Package e2e runs all services in one process against real servers.
package e2e_test

import (
	"net/http"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/events-aggregator/events-aggregator/test/support/contract"
)

// exchanges compares what every spec, and eactl in it, says to the api and hears
// with the api's document.
var exchanges = contract.Watch(http.DefaultTransport)

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	http.DefaultTransport = exchanges
	RunSpecs(t, "End to end")
}

var _ = AfterSuite(func() {
	Expect(exchanges.Broken()).To(BeEmpty(), "the api and services/api/openapi.yaml disagree")
})
