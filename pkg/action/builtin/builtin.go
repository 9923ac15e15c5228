// Package builtin lists the action types of the product.
package builtin

import (
	"github.com/events-aggregator/events-aggregator/pkg/action"
	"github.com/events-aggregator/events-aggregator/pkg/action/alert"
	logaction "github.com/events-aggregator/events-aggregator/pkg/action/log"
	"github.com/events-aggregator/events-aggregator/pkg/action/notify"
	"github.com/events-aggregator/events-aggregator/pkg/action/publish"
	"github.com/events-aggregator/events-aggregator/pkg/action/webhook"
)

// Table is the list that rules are checked against, and that documentation and
// the API show.
func Table() action.Table {
	return action.NewTable(
		webhook.Type{},
		notify.Type{},
		logaction.Type{},
		publish.Type{},
		alert.Type{},
	)
}
