package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// listed are the query parameters that the document lists, by method and path.
type listed map[string][]string

func parametersListed(document []byte) (listed, error) {
	type parameter struct {
		Ref  string `json:"$ref"`
		Name string `json:"name"`
		In   string `json:"in"`
	}
	var doc struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Parameters map[string]parameter `json:"parameters"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	all := listed{}
	for path, methods := range doc.Paths {
		for method, raw := range methods {
			var operation struct {
				Parameters []parameter `json:"parameters"`
			}
			if method == "parameters" { // of the path alone
				continue
			}
			if err := json.Unmarshal(raw, &operation); err != nil {
				return nil, fmt.Errorf("read %s %s: %w", method, path, err)
			}
			names := []string{}
			for _, p := range operation.Parameters {
				if name, is := strings.CutPrefix(p.Ref, "#/components/parameters/"); is {
					p = doc.Components.Parameters[name]
				}
				if p.In == "query" {
					names = append(names, p.Name)
				}
			}
			all[strings.ToUpper(method)+" "+path] = names
		}
	}
	return all, nil
}

var echoParameter = regexp.MustCompile(`:(\w+)`)

// only refuses parameters that the document does not list, and ids that nothing
// can have, so that neither reaches a handler. Handlers of searches do the first
// themselves, since they name all mistakes of a query at once.
func (l listed) only(r route) echo.MiddlewareFunc {
	names := l[r.method+" /api/v1"+echoParameter.ReplaceAllString(r.path, "{$1}")]
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if len(names) == 0 || r.method != http.MethodGet {
				if err := read(c, names...).err(); err != nil {
					return err
				}
			}
			plainIDs(c)
			for _, v := range c.ParamValues() {
				if !storable(v) {
					return problem(http.StatusNotFound, "not_found", "nothing has the id %q", v)
				}
			}
			return next(c)
		}
	}
}

// plainIDs undoes the encoding of ids in the path: the router takes them as they were
// sent when that is not how Go would, and browsers write endpoint%3A4711.
func plainIDs(c echo.Context) {
	if c.Request().URL.RawPath == "" {
		return
	}
	values := slices.Clone(c.ParamValues())
	for i, v := range values {
		if plain, err := url.PathUnescape(v); err == nil {
			values[i] = plain
		}
	}
	c.SetParamValues(values...)
}
