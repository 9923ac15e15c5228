package webhook

import (
	"github.com/events-aggregator/events-aggregator/pkg/action/alert"
	"github.com/events-aggregator/events-aggregator/pkg/notification"
)

// format is one shape of body that the product itself makes.
type format struct {
	name        string
	contentType string
	body        func(notification.Message) ([]byte, error)
}

// FormatEvent is the default format.
const FormatEvent = "event"

// formats is the table of all, the default first.
var formats = []format{
	{FormatEvent, "application/json", DefaultBody},
	{"alertmanager", "application/json", alert.WebhookBody},
	{"cloudevents", "application/cloudevents+json", cloudEvent},
}

func formatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// formatOf is the default for a name that Parse refuses.
func formatOf(name string) format {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return formats[0]
}
