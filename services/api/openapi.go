package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the document
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"

	"github.com/events-aggregator/events-aggregator/pkg/action/builtin"
)

//go:embed openapi.yaml
var openapiText []byte

// Document is the API's OpenAPI document as JSON, in the order in which it is
// written. It says of actions what the table of their types says.
func Document() ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(openapiText, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	schemas := entry(entry(doc.Content[0], "components"), "schemas")
	if err := addActions(schemas, entry(schemas, "NewAction")); err != nil {
		return nil, err
	}
	sayRoles(entry(doc.Content[0], "paths"))
	var b bytes.Buffer
	if err := asJSON(&b, doc.Content[0]); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return b.Bytes(), nil
}

// addActions makes a schema of each type's configuration, and the choice among
// the types.
func addActions(schemas, newAction *yaml.Node) error {
	var choice yaml.Node
	for _, t := range builtin.Table().Types() {
		name := configName(t.Name())
		var config, one yaml.Node
		if err := yaml.Unmarshal(t.Schema(), &config); err != nil { // JSON is YAML
			return fmt.Errorf("schema of %s: %w", t.Name(), err)
		}
		remove(config.Content[0], "$schema")
		schemas.Content = append(schemas.Content, text(name), config.Content[0])
		err := one.Encode(map[string]any{
			"title": t.Name(), "type": "object", "required": []string{"type", "config"}, "additionalProperties": false,
			"properties": map[string]any{"type": map[string]string{"const": t.Name()}, "config": map[string]string{"$ref": "#/components/schemas/" + name}},
		})
		if err != nil {
			return fmt.Errorf("schema of %s: %w", t.Name(), err)
		}
		choice.Content = append(choice.Content, &one)
	}
	choice.Kind = yaml.SequenceNode
	for _, loose := range []string{"type", "required", "properties"} {
		remove(newAction, loose)
	}
	newAction.Content = append(newAction.Content, text("oneOf"), &choice)
	return nil
}

// sayRoles ends each operation's description with who may do it, since viewers do
// not show x-role.
func sayRoles(paths *yaml.Node) {
	for _, path := range paths.Content {
		for i := 1; i < len(path.Content); i += 2 {
			operation := path.Content[i]
			if role := entry(operation, "x-role").Value; role != "" {
				d := entry(operation, "description")
				d.Value = strings.TrimRight(d.Value, "\n") + "\n\nRole: **" + role + "**."
			}
		}
	}
}

// configName turns SEND_NOTIFICATION into SendNotificationConfig.
func configName(actionType string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(actionType), "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String() + "Config"
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// entry is a mapping's value, an empty node if there is none.
func entry(of *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value == name {
			return of.Content[i+1]
		}
	}
	return &yaml.Node{}
}

func remove(from *yaml.Node, name string) {
	for i := 0; i+1 < len(from.Content); i += 2 {
		if from.Content[i].Value == name {
			from.Content = append(from.Content[:i:i], from.Content[i+2:]...)
			return
		}
	}
}

// asJSON keeps the order of names, which decoding into a map would lose.
func asJSON(b *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.AliasNode:
		return asJSON(b, n.Alias)
	case yaml.MappingNode:
		return list(b, "{}", len(n.Content)/2, func(i int) error {
			name, err := json.Marshal(n.Content[2*i].Value)
			if err != nil {
				return err
			}
			b.Write(append(name, ':'))
			return asJSON(b, n.Content[2*i+1])
		})
	case yaml.SequenceNode:
		return list(b, "[]", len(n.Content), func(i int) error { return asJSON(b, n.Content[i]) })
	default:
		var value any
		if err := n.Decode(&value); err != nil {
			return err
		}
		text, err := json.Marshal(value)
		b.Write(text)
		return err
	}
}

func list(b *bytes.Buffer, brackets string, n int, write func(i int) error) error {
	b.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := write(i); err != nil {
			return err
		}
	}
	b.WriteByte(brackets[1])
	return nil
}

// document serves it at /openapi.json, without a key: it is no secret, and
// tools ask for it before they have one.
func document(e *echo.Echo, doc []byte) {
	sum := sha256.Sum256(doc)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	e.GET("/openapi.json", func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("ETag", tag)
		h.Set(echo.HeaderCacheControl, "no-cache")
		if c.Request().Header.Get("If-None-Match") == tag {
			return c.NoContent(http.StatusNotModified)
		}
		return c.JSONBlob(http.StatusOK, doc)
	})
}
