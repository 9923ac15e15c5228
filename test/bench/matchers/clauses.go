package main

import (
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// clause is one thing that a rule of the load asks; a rule asks for all of its
// clauses. These are the operators of the load and no more: what the product is
// compared with need not know others.
type clause struct {
	path, operator string
	text           string     // of $eq and $regex
	texts          []string   // of $in
	number         float64    // of $gte
	exists         bool       // of $exists
	either         [][]clause // of $or
}

// clausesOf reads a condition.
func clausesOf(condition bson.D) ([]clause, error) {
	var all []clause
	for _, e := range condition {
		switch v := e.Value.(type) {
		case string:
			all = append(all, clause{path: e.Key, operator: "$eq", text: v})
		case primitive.Regex:
			all = append(all, clause{path: e.Key, operator: "$regex", text: v.Pattern})
		case bson.A:
			some, err := logical(e.Key, v)
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		case bson.D:
			for _, o := range v {
				c, err := clauseOf(e.Key, o)
				if err != nil {
					return nil, err
				}
				all = append(all, c)
			}
		default:
			return nil, fmt.Errorf("%s: %T is in no load", e.Key, e.Value)
		}
	}
	return all, nil
}

// logical is $and, whose clauses are as good as the rule's own, or $or.
func logical(name string, list bson.A) ([]clause, error) {
	or := clause{operator: "$or"}
	var and []clause
	for _, one := range list {
		d, _ := one.(bson.D)
		some, err := clausesOf(d)
		if err != nil {
			return nil, err
		}
		and, or.either = append(and, some...), append(or.either, some)
	}
	switch name {
	case "$and":
		return and, nil
	case "$or":
		return []clause{or}, nil
	}
	return nil, fmt.Errorf("%s is in no load", name)
}

func clauseOf(path string, o bson.E) (clause, error) {
	c := clause{path: path, operator: o.Key}
	ok := false
	switch o.Key {
	case "$gte":
		c.number, ok = numberOf(o.Value)
	case "$exists":
		c.exists, ok = o.Value.(bool)
	case "$regex":
		if c.text, ok = o.Value.(string); !ok {
			var r primitive.Regex
			r, ok = o.Value.(primitive.Regex)
			c.text = r.Pattern
		}
	case "$in":
		var list bson.A
		list, ok = o.Value.(bson.A)
		for _, one := range list {
			text, is := one.(string)
			c.texts, ok = append(c.texts, text), ok && is
		}
	}
	if !ok {
		return c, fmt.Errorf("%s: {%s: %v} is in no load", path, o.Key, o.Value)
	}
	return c, nil
}

func numberOf(v any) (float64, bool) {
	switch n := v.(type) {
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}
