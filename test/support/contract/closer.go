package contract

import "strings"

// closer makes objects complete wherever a schema is used: what it does not name
// is then a mistake. Schemas of components stay as they are, since others are
// made of them.
type closer struct{ root map[string]any }

func (c *closer) walk(node any) {
	switch node := node.(type) {
	case []any:
		for _, one := range node {
			c.walk(one)
		}
	case map[string]any:
		for key, value := range node {
			switch key {
			case "example", "examples", "default", "enum", "const", "required":
			case "properties":
				c.useEach(value)
			case "items", "additionalProperties", "schema":
				c.use(value)
			case "oneOf", "anyOf":
				c.useEach(value)
			default:
				c.walk(value)
			}
		}
	}
}

func (c *closer) useEach(value any) {
	switch value := value.(type) {
	case []any:
		for _, one := range value {
			c.use(one)
		}
	case map[string]any:
		for _, one := range value {
			c.use(one)
		}
	}
}

// use closes a schema where it is used.
func (c *closer) use(schema any) {
	c.walk(schema)
	if s, ok := schema.(map[string]any); ok && c.named(s) {
		s["unevaluatedProperties"] = false
	}
}

// named says whether a schema names its properties and does not say what else
// there may be.
func (c *closer) named(s map[string]any) bool {
	if _, says := s["additionalProperties"]; says {
		return false
	}
	if ref, is := s["$ref"].(string); is {
		name, ours := strings.CutPrefix(ref, "#/components/schemas/")
		if !ours {
			return false
		}
		components, _ := c.root["components"].(map[string]any)
		schemas, _ := components["schemas"].(map[string]any)
		target, _ := schemas[name].(map[string]any)
		return c.named(target)
	}
	if all, is := s["allOf"].([]any); is {
		for _, one := range all {
			if one, ok := one.(map[string]any); !ok || !c.named(one) {
				return false
			}
		}
		return true
	}
	_, names := s["properties"]
	return names
}
