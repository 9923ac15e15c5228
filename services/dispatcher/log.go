package dispatcher

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	logaction "github.com/events-aggregator/events-aggregator/pkg/action/log"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
	"github.com/events-aggregator/events-aggregator/pkg/telemetry"
)

// logExecutor writes a LOG action's line to the audit log: the process's log,
// under the name "audit".
type logExecutor struct{ log *zap.Logger }

func (e logExecutor) prepare(msg notification.Message) (call, error) {
	cfg, problems := logaction.Parse(msg.Notification.Action.Config)
	if err := problemsError(problems); err != nil {
		return call{}, err
	}
	return call{carryOut: func(_ context.Context, msg notification.Message) result {
		level, text, err := cfg.Render(msg)
		if err != nil {
			return result{outcome: notification.OutcomePermanent, class: classTemplate, err: err.Error()}
		}
		severity := zapcore.InfoLevel
		// An unknown level is the type's check to refuse; here it is info.
		_ = severity.UnmarshalText([]byte(level))
		n := msg.Notification
		e.log.Log(severity, "rule action",
			zap.String("text", text), zap.String(telemetry.FieldNotification, n.ID),
			zap.String(telemetry.FieldEvent, n.EventID), zap.String(telemetry.FieldRule, n.RuleID),
			zap.String("rule_name", n.RuleName))
		return result{outcome: notification.OutcomeOK}
	}}, nil
}

// classTemplate is a template that does not fit its event.
const classTemplate = "template"

// problemsError is one error for all that is wrong with a configuration.
func problemsError(problems []action.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = strings.TrimSpace(p.Pointer + " " + p.Message)
	}
	return errors.New("action config: " + strings.Join(texts, "; "))
}
