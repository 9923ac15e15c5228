# shellcheck shell=bash
# What scripts/run starts, so that it can be stopped when that script cannot:
# it was killed, or make down is called beside it.

STATE=$RUN/run
# In the order in which they stop: nobody loses the one it publishes to or reads
# from before it has finished. They start in the opposite order.
PROCESSES=(api ingester rule-worker aggregator action-dispatcher)

# run_stop first asks the script itself, which stops everything in order.
run_stop() {
	if alive "$STATE/script.pid"; then
		RUN_FOUND=yes
		say "make run: asking it to stop"
		end "$STATE/script.pid" 120
	fi
	run_end
}

# run_beside: there is a make run, and it is not what calls this script.
run_beside() {
	alive "$STATE/script.pid" && [[ $(pid_of "$STATE/script.pid") != "$PPID" ]]
}

# run_end ends what is left of a run, producers first, and says what it found:
# the processes of a script that was killed.
run_end() {
	local name left=()
	for name in build simulate "${PROCESSES[@]}" webhook-sink; do
		! alive "$STATE/$name.pid" || left+=("$name")
	done
	if ((${#left[@]} > 0)); then
		RUN_FOUND=yes
		say "make run: stopping what an earlier run left: ${left[*]}"
	fi
	for name in "${left[@]}"; do
		end "$STATE/$name.pid" 30
	done
	rm -f "$STATE"/*.pid
}
