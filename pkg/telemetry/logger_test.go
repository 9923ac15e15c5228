package telemetry_test

import (
	"bytes"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

var _ = Describe("the logger", func() {
	It("writes a JSON object per line where there is no terminal", func() {
		var out bytes.Buffer
		log, _, err := telemetry.NewLogger(&out, "info", "auto")
		Expect(err).NotTo(HaveOccurred())
		log.Info("batch stored", zap.String(telemetry.FieldBatch, "b1"), zap.Duration("took", 1500*time.Millisecond))
		var line map[string]any
		Expect(json.Unmarshal(out.Bytes(), &line)).To(Succeed())
		Expect(line).To(And(HaveKeyWithValue("message", "batch stored"), HaveKeyWithValue("level", "info"),
			HaveKeyWithValue("batch_id", "b1"), HaveKeyWithValue("took", "1.5s"), HaveKey("time")))
	})

	It("writes columns for people when asked", func() {
		var out bytes.Buffer
		log, _, err := telemetry.NewLogger(&out, "info", "console")
		Expect(err).NotTo(HaveOccurred())
		log.Warn("slow")
		Expect(out.String()).To(ContainSubstring("\tWARN\tslow"))
	})

	It("keeps quiet below its level, which can change while it runs", func() {
		var out bytes.Buffer
		log, level, err := telemetry.NewLogger(&out, "warn", "json")
		Expect(err).NotTo(HaveOccurred())
		log.Info("unheard")
		Expect(out.String()).To(BeEmpty())
		level.SetLevel(zapcore.DebugLevel)
		log.Debug("heard")
		Expect(out.String()).To(ContainSubstring("heard"))
	})

	It("refuses levels and formats that it does not know", func() {
		_, _, err := telemetry.NewLogger(&bytes.Buffer{}, "loud", "json")
		Expect(err).To(MatchError(ContainSubstring("loud")))
		_, _, err = telemetry.NewLogger(&bytes.Buffer{}, "info", "xml")
		Expect(err).To(MatchError(ContainSubstring("xml")))
	})
})
