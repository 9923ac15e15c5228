// Package config is everything that can be set: one typed struct with a file
// per section. A value comes from the defaults, then a YAML file, then
// EA_SECTION_KEY in the environment, then flags. Whatever is wrong is reported
// together, each mistake by the key's name and the place it came from.
package config

import "strings"

//go:generate go run ./internal/defaults ../../configs/default.yaml

// Config is the whole configuration of one process. Every process reads the
// same file and uses the sections that concern it.
type Config struct {
	Mongo      Mongo
	AMQP       AMQP
	Broker     Broker
	Admin      Admin
	API        API
	Log        Log
	Ingester   Ingester
	RuleWorker RuleWorker
	Dispatcher Dispatcher
	Channels   Channels
	Aggregator Aggregator
	Sweep      Sweep
	Lease      Lease
	Health     Health
	Shutdown   Shutdown
	// SecretKey encrypts secrets at rest; empty: they are stored as given.
	// SecretKeyOld is the key before it, for reading only.
	SecretKey, SecretKeyOld string
}

// Defaults is the configuration of a process for which nothing was set.
func Defaults(process string) Config {
	var c Config
	for _, k := range c.keys() {
		// A default that its own key refuses is a mistake in this package; the
		// spec over all keys finds it.
		_ = k.set(k.preset)
	}
	c.settle(process)
	return c
}

// keys binds every key to its field of c, in the order of default.yaml.
func (c *Config) keys() []*key {
	r := &registry{}
	r.section("mongo", "MongoDB (7 or later, a replica set).", c.Mongo.keys)
	r.section("amqp", "RabbitMQ (3.10 or later).", c.AMQP.keys)
	r.section("broker", "Names in the broker.", c.Broker.keys)
	r.section("admin", "The health and metrics server that every process has.", c.Admin.keys)
	r.section("api", "The public HTTP server (api).", c.API.keys)
	r.section("log", "Log lines on standard error.", c.Log.keys)
	r.section("ingester", "From message to stored batch.", c.Ingester.keys)
	r.section("rule_worker", "From batch to decisions.", c.RuleWorker.keys)
	r.section("dispatcher", "From notification to delivery (action-dispatcher).", c.Dispatcher.keys)
	r.section("channels", "Ways to people for SEND_NOTIFICATION (api and action-dispatcher).", c.Channels.keys)
	r.section("aggregator", "From batch to metrics.", c.Aggregator.keys)
	r.section("sweep", "The safety nets that publish again what a dead process left unpublished.", c.Sweep.keys)
	r.section("lease", "Work that has one owner among all processes.", c.Lease.keys)
	r.section("health", "What /health judges by.", c.Health.keys)
	r.section("shutdown", "How a process stops.", c.Shutdown.keys)
	r.text("secret_key", &c.SecretKey, "",
		"Encrypts secrets of actions at rest (signing secrets, headers, URLs that hold one); the same for api and action-dispatcher. "+
			"At least 16 characters, best random ones (openssl rand -base64 32). Empty: they are stored as given.").
		secret().require("empty or at least 16 characters", longEnough)
	r.text("secret_key_old", &c.SecretKeyOld, "", "The secret_key before this one: what it encrypted is still read.").
		secret().require("empty or at least 16 characters", longEnough)
	return r.all
}

func longEnough(key string) bool { return key == "" || len(key) >= 16 }

// check finds combinations that cannot work although each value could.
func (c *Config) check(process string, report func(key, message string)) {
	c.Ingester.check(report)
	c.RuleWorker.check(report)
	c.Dispatcher.check(report)
	c.Channels.check(report)
	c.Aggregator.check(c.Ingester.Retention, report)
	c.Lease.check(report)
	c.API.check(report)
	if c.SecretKeyOld != "" && c.SecretKeyOld == c.SecretKey {
		report("secret_key_old", "is the same as secret_key; it is the key before it")
	}
	if process == "api" && c.API.Addr == c.Admin.Addr && !strings.HasSuffix(c.API.Addr, ":0") {
		report("admin.addr", c.Admin.Addr+" is api.addr too; a process needs both")
	}
}

// settle fills in what depends on which process this is.
func (c *Config) settle(process string) {
	if c.Admin.Addr == "" {
		c.Admin.Addr = adminAddrs[process]
	}
}
