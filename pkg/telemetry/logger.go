// Package telemetry is how a process tells what it does: the logger, the
// metrics that users know by name, and the trace context of W3C.
package telemetry

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// Names of the fields that lines about the same thing share, so that one
// search finds them all.
const (
	FieldEvent        = "event_id"
	FieldBatch        = "batch_id"
	FieldRule         = "rule_id"
	FieldNotification = "notification_id"
	FieldTrace        = "trace_id"
)

// NewLogger writes lines of at least level ("debug", "info", "warn", "error")
// to w in the format "json", "console", or "auto": console when w is a
// terminal. The level can be changed while the process runs.
func NewLogger(w io.Writer, level, format string) (*zap.Logger, zap.AtomicLevel, error) {
	atomic := zap.NewAtomicLevel()
	if err := atomic.UnmarshalText([]byte(level)); err != nil {
		return nil, atomic, fmt.Errorf("log level: %w", err)
	}
	encoding := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", NameKey: "logger", MessageKey: "message",
		EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeDuration: zapcore.StringDurationEncoder,
		EncodeLevel: zapcore.LowercaseLevelEncoder,
	}
	var encoder zapcore.Encoder
	switch {
	case format == "console", format == "auto" && isTerminal(w):
		encoding.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		encoding.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(encoding)
	case format == "json", format == "auto":
		encoder = zapcore.NewJSONEncoder(encoding)
	default:
		return nil, atomic, fmt.Errorf("log format %q: expected auto, json or console", format)
	}
	sink := zapcore.Lock(zapcore.AddSync(w))
	// Neither callers nor stack traces: messages are constants, so a line is
	// found in the source by its message.
	return zap.New(zapcore.NewCore(encoder, sink, atomic)), atomic, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
