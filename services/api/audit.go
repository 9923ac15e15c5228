package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/event"
	"github.com/events-aggregator/events-aggregator/pkg/store"
)

// AuditLog is who changed what.
type AuditLog interface {
	FindAudit(ctx context.Context, f store.AuditFilter, after *store.AuditPosition, limit int) ([]store.Audit, error)
	RuleVersionsOf(ctx context.Context, ids []string) ([]store.RuleVersion, error)
	NoteAudit(ctx context.Context, a store.Audit) (primitive.ObjectID, error)
	EndAudit(ctx context.Context, id primitive.ObjectID, after bson.D) error
}

// auditEntry is an entry as it leaves the process. What a rule was and is comes
// from its versions, secrets masked.
type auditEntry struct {
	ID        string          `json:"audit_id"`
	At        time.Time       `json:"at"`
	By        string          `json:"by"`
	Kind      string          `json:"kind"`
	Action    string          `json:"action"`
	Subject   string          `json:"subject,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
}

// listAudit: GET /audit, newest first.
func (s *Server) listAudit(c echo.Context) error {
	p := read(c, "by", "kind", "action", "subject", "from", "to", "limit", "cursor")
	f := store.AuditFilter{By: p.text("by"), Kind: p.text("kind"), Action: p.text("action"), Subject: p.text("subject")}
	f.From, f.To = p.span()
	limit := p.integer("limit", pageDefault, s.cfg.PageLimit)
	after := behind[store.AuditPosition](p)
	if err := p.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	found, err := s.audit.FindAudit(ctx, f, after, limit)
	if err != nil {
		return err
	}
	items, err := s.showAudit(ctx, found)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, pageOf(items, found, limit, func(last store.Audit) any {
		return store.AuditPosition{At: last.At, ID: last.ID}
	}))
}

func (s *Server) showAudit(ctx context.Context, found []store.Audit) ([]auditEntry, error) {
	rules, err := s.rulesOf(ctx, found)
	if err != nil {
		return nil, err
	}
	items := make([]auditEntry, len(found))
	for i, a := range found {
		one := auditEntry{ID: a.ID.Hex(), At: a.At.UTC(), By: a.By, Kind: a.Kind, Action: a.Action, Subject: a.Subject, RequestID: a.RequestID}
		if version := ruleVersion(a); version > 0 {
			one.Before, one.After = rules[versionID(a.Subject, version-1)], rules[versionID(a.Subject, version)]
		}
		for _, part := range []struct {
			doc  bson.D
			into *json.RawMessage
		}{{a.Detail, &one.Detail}, {a.Before, &one.Before}, {a.After, &one.After}} {
			if len(part.doc) == 0 {
				continue
			}
			raw, err := bson.Marshal(part.doc)
			if err != nil {
				return nil, fmt.Errorf("render audit %s: %w", one.ID, err)
			}
			if *part.into, err = event.ToJSON(raw); err != nil {
				return nil, fmt.Errorf("render audit %s: %w", one.ID, err)
			}
		}
		items[i] = one
	}
	return items, nil
}

// rulesOf are the rules before and after the changes of rules, masked, by version.
func (s *Server) rulesOf(ctx context.Context, found []store.Audit) (map[string]json.RawMessage, error) {
	var ids []string
	for _, a := range found {
		if version := ruleVersion(a); version > 0 {
			ids = append(ids, versionID(a.Subject, version-1), versionID(a.Subject, version))
		}
	}
	versions, err := s.audit.RuleVersionsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	rules := map[string]json.RawMessage{}
	for _, v := range versions {
		if v.Deleted {
			continue
		}
		if rules[v.ID], err = shown(v.Rule); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// ruleVersion is the version that a change of one rule made, 0 of other changes.
func ruleVersion(a store.Audit) int {
	if a.Kind != "rule" || a.Subject == "" {
		return 0
	}
	for _, e := range a.Detail {
		if e.Key != "version" {
			continue
		}
		switch n := e.Value.(type) {
		case int32:
			return int(n)
		case int64:
			return int(n)
		}
	}
	return 0
}

func versionID(rule string, version int) string { return fmt.Sprintf("%s:%d", rule, version) }

// endAudit says what came of what was noted beforehand. The request is over by
// then, and may be cut off; the entry stays as it was noted when this fails.
func (s *Server) endAudit(ctx context.Context, id primitive.ObjectID, after bson.D) {
	if err := s.audit.EndAudit(context.WithoutCancel(ctx), id, after); err != nil {
		s.log.Warn("audit does not say what came of it", zap.String("audit_id", id.Hex()), zap.Error(err))
	}
}
