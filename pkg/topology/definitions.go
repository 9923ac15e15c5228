package topology

import "encoding/json"

// Definitions is the topology as a RabbitMQ definitions file for the default
// virtual host (management UI, `rabbitmqctl import_definitions`, load_definitions):
// for those who let no service declare anything.
func (t Table) Definitions() ([]byte, error) {
	type exchange struct {
		Name       string         `json:"name"`
		Vhost      string         `json:"vhost"`
		Type       string         `json:"type"`
		Durable    bool           `json:"durable"`
		AutoDelete bool           `json:"auto_delete"`
		Internal   bool           `json:"internal"`
		Arguments  map[string]any `json:"arguments"`
	}
	type queue struct {
		Name       string         `json:"name"`
		Vhost      string         `json:"vhost"`
		Durable    bool           `json:"durable"`
		AutoDelete bool           `json:"auto_delete"`
		Arguments  map[string]any `json:"arguments"`
	}
	type binding struct {
		Source          string         `json:"source"`
		Vhost           string         `json:"vhost"`
		Destination     string         `json:"destination"`
		DestinationType string         `json:"destination_type"`
		RoutingKey      string         `json:"routing_key"`
		Arguments       map[string]any `json:"arguments"`
	}
	const vhost = "/"
	none := map[string]any{}
	var file struct {
		Exchanges []exchange `json:"exchanges"`
		Queues    []queue    `json:"queues"`
		Bindings  []binding  `json:"bindings"`
	}
	b := t.Broker()
	for _, e := range b.Exchanges {
		file.Exchanges = append(file.Exchanges, exchange{Name: e.Name, Vhost: vhost, Type: e.Kind, Durable: true, Arguments: none})
	}
	for _, q := range b.Queues {
		file.Queues = append(file.Queues, queue{Name: q.Name, Vhost: vhost, Durable: true, Arguments: q.Args})
	}
	for _, x := range b.Bindings {
		file.Bindings = append(file.Bindings, binding{
			Source: x.Exchange, Vhost: vhost, Destination: x.Queue, DestinationType: "queue",
			RoutingKey: x.Key, Arguments: none,
		})
	}
	return json.MarshalIndent(file, "", "  ")
}
