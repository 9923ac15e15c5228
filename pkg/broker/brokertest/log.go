package brokertest

import (
	"github.com/onsi/ginkgo/v2"
	"go.uber.org/zap/zapcore"
)

func newCore(config zapcore.EncoderConfig) zapcore.Core {
	return zapcore.NewCore(zapcore.NewConsoleEncoder(config), zapcore.AddSync(ginkgo.GinkgoWriter), zapcore.DebugLevel)
}
