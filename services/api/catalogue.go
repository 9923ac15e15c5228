package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
)

// actionType is a type of action as rules may have it.
type actionType struct {
	Type   string          `json:"type"`
	Doc    string          `json:"doc"`
	Schema json.RawMessage `json:"schema"` // JSON Schema (2020-12) of its config
}

// templateFunction is a function of templates.
type templateFunction struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// listActionTypes: GET /action-types, with what their configurations and
// templates may hold and the queues that they may name.
func (s *Server) listActionTypes(c echo.Context) error {
	types := builtin.Table().Types()
	items := make([]actionType, len(types))
	for i, t := range types {
		items[i] = actionType{Type: t.Name(), Doc: t.Doc(), Schema: t.Schema()}
	}
	var functions []templateFunction
	for _, f := range action.FunctionDocs() {
		functions = append(functions, templateFunction{f[0], f[1]})
	}
	return c.JSON(http.StatusOK, map[string]any{"items": items, "queues": s.topology.DispatchQueues(), "template_functions": functions})
}

// channelShown is a channel without its URL, which is a secret.
type channelShown struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"` // the URL's scheme
	Default bool   `json:"default"`
}

// listChannels: GET /channels, the ways to people that are configured.
func (s *Server) listChannels(c echo.Context) error {
	names := s.channels.Names()
	items := make([]channelShown, len(names))
	for i, name := range names {
		items[i] = channelShown{Name: name, Kind: s.channels.Kind(name), Default: name == s.channels.DefaultName()}
	}
	return c.JSON(http.StatusOK, page{Items: items})
}
