module github.com/events-aggregator/events-aggregator/test/bench/matchers

go 1.26.0

require (
	github.com/events-aggregator/events-aggregator v0.0.0
	go.mongodb.org/mongo-driver v1.17.10
	quamina.net/go/quamina v1.3.0
)

require (
	github.com/golang/geo v0.0.0-20260818125358-b200a1149890 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.42.0 // indirect
)

// The product is the one that lies around it; quamina's own name leads nowhere
// without its author's server.
replace (
	github.com/events-aggregator/events-aggregator => ../../..
	quamina.net/go/quamina => github.com/timbray/quamina v1.3.0
)
