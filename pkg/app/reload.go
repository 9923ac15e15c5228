package app

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/events-aggregator/events-aggregator/pkg/config"
	"github.com/events-aggregator/events-aggregator/pkg/store"
	"github.com/events-aggregator/events-aggregator/pkg/topology"
)

// reloadable are the keys that take effect at SIGHUP.
var reloadable = map[string]bool{"log.level": true}

// reload reads the configuration again. A bad one is refused as a whole and the
// old one kept; keys that only a restart can change are named.
func (r *Running) reload(options config.Options) {
	log := r.process.Log
	next, err := config.Load(options)
	if err != nil {
		var invalid *config.Invalid
		if errors.As(err, &invalid) {
			for _, p := range invalid.Problems {
				log.Error("configuration refused, the running one is kept", zap.String("problem", p.String()))
			}
			return
		}
		log.Error("configuration refused, the running one is kept", zap.Error(err))
		return
	}
	var applied, restart []string
	for _, key := range config.Changed(r.read, next) {
		if reloadable[key] {
			applied = append(applied, key)
		} else {
			restart = append(restart, key)
		}
	}
	r.read = next
	if r.level != nil {
		_ = r.level.UnmarshalText([]byte(next.Log.Level)) // was checked
	}
	log.Info("configuration read again", zap.Strings("applied", applied), zap.Strings("need_restart", restart))
}

// checkConfig adds what the store and the topology know about settings.
func checkConfig(c config.Config, report func(key, message string)) {
	if err := store.CheckURI(c.Mongo.URI); err != nil {
		report("mongo.uri", err.Error())
	}
	checkSchedules(c.Dispatcher, topology.New(c.Broker.Prefix, c.Dispatcher.QueueNames()...), report)
}

// checkSchedules wants each wait to be a retry tier: what is between two of them
// would be made longer without a word.
func checkSchedules(d config.Dispatcher, table topology.Table, report func(key, message string)) {
	check := func(key, of, queue string, waits []time.Duration) {
		tiers := table.Work(queue).Tiers
		for _, wait := range slices.Compact(slices.Sorted(slices.Values(waits))) {
			if !slices.Contains(tiers, wait) {
				report(key, fmt.Sprintf("%s%s is no retry tier; declared are %v", of, wait, tiers))
			}
		}
	}
	check("dispatcher.schedule", "", topology.WebhooksDefault, d.Schedule)
	for _, queue := range table.DispatchQueues() {
		check("dispatcher.schedules", queue+": ", queue, d.Schedules[queue])
	}
}
