package ctl_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// What needs servers is in test/e2e.
func TestCtl(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "eactl")
}
