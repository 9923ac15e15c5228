# shellcheck shell=bash
# RabbitMQ for development: found or started, in this order:
# EA_AMQP_URL, one that runs on localhost:5672, Docker Compose, Debian's package.

RABBIT=$RUN/rabbitmq
# Not 5672: another clone would take the private broker for one that is there
# for everybody, and both would consume from the same queues.
RABBIT_PORT_WANTED=5682

rabbit_up() {
	mkdir -p "$RABBIT"
	local forced=${EA_RABBITMQ:-} kind
	[[ " running docker package " == *" $forced "* || -z $forced ]] ||
		die "EA_RABBITMQ=$forced: must be one of running, docker, package"
	if [[ -z $forced && -n ${EA_AMQP_URL:-} && -z ${EA_INFRA_PRIVATE:-} && $EA_AMQP_URL != "$(rabbit_url)" ]]; then
		AMQP_URL=$EA_AMQP_URL
		say "RabbitMQ: the one EA_AMQP_URL names (neither started nor stopped here)"
		return
	fi
	if rabbit_alive; then
		kind=$(<"$RABBIT/kind")
		if [[ -n $forced && $forced != "$kind" ]]; then
			# What runs is stopped only when there is something to replace it.
			"rabbit_has_$forced" || die "EA_RABBITMQ=$forced: $WHY_NOT"
			say "RabbitMQ: stopping $(rabbit_name "$kind"), since EA_RABBITMQ=$forced asks for another"
		elif [[ $kind == docker ]] || rabbit_answers "$(<"$RABBIT/port")"; then
			AMQP_URL=$(rabbit_url)
			say "RabbitMQ: $(rabbit_name "$kind"), already running on port $(<"$RABBIT/port")"
			return
		else
			say "RabbitMQ: $(rabbit_name "$kind") runs but does not answer; starting it again"
		fi
		rabbit_stop
	fi
	local order=(running docker package) passed_over=() log
	[[ -z ${EA_INFRA_PRIVATE:-} ]] || order=(docker package)
	[[ -z $forced ]] || order=("$forced")
	for kind in "${order[@]}"; do
		if ! "rabbit_has_$kind"; then
			passed_over+=("$WHY_NOT")
			continue
		fi
		[[ -z $forced ]] || WHY="EA_RABBITMQ=$forced asks for it"
		if [[ $kind == running ]]; then
			rm -f "$RABBIT/kind"
			AMQP_URL=amqp://guest:guest@127.0.0.1:5672/
			say "RabbitMQ: the one already running on localhost:5672 (neither started nor stopped here)"
			return
		fi
		if rabbit_first_start "$kind"; then
			AMQP_URL=$(rabbit_url)
			say "RabbitMQ: $(rabbit_name "$kind") on port $(<"$RABBIT/port"), because $(listed "${passed_over[@]}" "$WHY")"
			return
		fi
		log=$RABBIT/server.log
		[[ $kind != docker ]] || log=$RUN/docker.log
		passed_over+=("$(rabbit_name "$kind") did not start (log: $log)")
		say "RabbitMQ: ${passed_over[-1]}"
	done
	[[ -z $forced ]] || die "EA_RABBITMQ=$forced: ${passed_over[0]}"
	die "no RabbitMQ: $(listed "$(not_named EA_AMQP_URL)" "${passed_over[@]}").
Install one of: RabbitMQ 3.10 or later (Debian: apt-get install rabbitmq-server), or Docker with Compose."
}

rabbit_name() {
	case $1 in
	docker) echo "RabbitMQ in Docker Compose" ;;
	package) echo "a private node of the installed RabbitMQ" ;;
	esac
}

rabbit_url() {
	[[ -s $RABBIT/kind && -s $RABBIT/port ]] || return 0
	printf 'amqp://guest:guest@127.0.0.1:%s/' "$(<"$RABBIT/port")"
}

# --- What is there. Each sets WHY, or WHY_NOT. -------------------------------

rabbit_has_running() {
	WHY_NOT="nobody answers guest on localhost:5672"
	probe amqp 127.0.0.1:5672 >/dev/null 2>&1
}

rabbit_has_docker() {
	WHY="a Docker engine answers"
	docker_answers || {
		WHY_NOT=$DOCKER
		return 1
	}
}

rabbit_has_package() {
	WHY="its package was installed"
	SERVER=$(rabbit_server) && return
	if can_apt; then
		apt_install rabbitmq-server && SERVER=$(rabbit_server) && WHY="Debian's package could be installed" && return
		WHY_NOT="apt-get could not install rabbitmq-server (log: $RUN/apt.log)"
	else
		WHY_NOT="rabbitmq-server is not installed, and installing it needs root and apt"
	fi
	return 1
}

# rabbit_server prints the path of RabbitMQ's own start script. Debian's
# command on PATH is a wrapper that changes to the rabbitmq user and to
# /var/lib/rabbitmq, and is of no use for a private node.
rabbit_server() {
	local found
	found=${RABBITMQ_HOME:-/usr/lib/rabbitmq}/bin/rabbitmq-server
	if [[ -x $found ]]; then
		printf '%s' "$found"
	elif found=$(command -v rabbitmq-server) && ! grep -q 'su rabbitmq' "$found"; then
		printf '%s' "$found"
	else
		return 1
	fi
}

# --- Start, stop -------------------------------------------------------------

rabbit_first_start() {
	local kind=$1 try port
	for try in 1 2 3; do
		lock_ports
		port=$(free_port "$(cat "$RABBIT/port" 2>/dev/null || ([[ -n ${EA_INFRA_PRIVATE:-} ]] || echo $RABBIT_PORT_WANTED))")
		printf '%s\n' "$kind" >"$RABBIT/kind"
		printf '%s\n' "$port" >"$RABBIT/port"
		if rabbit_start; then
			unlock_ports
			return 0
		fi
		unlock_ports
		[[ $kind != docker && $(free_port "$port") != "$port" ]] || return 1
		say "  port $port was taken meanwhile, trying another ($try)"
	done
	return 1
}

# rabbit_start starts what kind and port say, and returns when it answers.
rabbit_start() {
	local port
	port=$(<"$RABBIT/port")
	if [[ $(<"$RABBIT/kind") == docker ]]; then
		compose_up rabbitmq
		return
	fi
	# A start that was interrupted leaves a script, and a node that nobody knows.
	end "$RABBIT/script.pid" 20
	rabbit_launch "$port" && rabbit_answers "$port" && return
	tail -n 8 "$RABBIT/server.log" >&2
	rabbit_stop
	return 1
}

# rabbit_launch PORT: a node with a name server (epmd), a distribution port, a
# home (cookie), data and logs of its own, all on the loopback interface, and
# without anything from /etc/rabbitmq. The node keeps its name, since quorum
# queues remember it.
rabbit_launch() {
	local port=$1 epmd_port dist_port
	[[ -n $SERVER ]] || rabbit_has_package || die "$WHY_NOT"
	mkdir -p "$RABBIT"/{home,data,log}
	: >"$RABBIT/env.conf"
	echo '[].' >"$RABBIT/enabled_plugins"
	echo '[].' >"$RABBIT/advanced.config"
	printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$port" 'log.file.level = info' >"$RABBIT/rabbitmq.conf"

	if alive "$RABBIT/epmd.pid"; then
		epmd_port=$(<"$RABBIT/epmd.port")
	else
		epmd_port=$(free_port)
		printf '%s\n' "$epmd_port" >"$RABBIT/epmd.port"
		launch "$RABBIT/epmd.pid" "$RABBIT/epmd.log" epmd -address 127.0.0.1 -port "$epmd_port" || return 1
		# Else the node would start a name server by itself, which nobody stops.
		until (: <"/dev/tcp/127.0.0.1/$epmd_port") 2>/dev/null; do
			alive "$RABBIT/epmd.pid" || return 1
			sleep 0.05
		done
	fi
	dist_port=$(free_port)
	rm -f "$RABBIT/node"
	: >"$RABBIT/server.log"
	# Scheduler binding is off: several servers share these cores.
	launch "$RABBIT/script.pid" "$RABBIT/server.log" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$RABBIT/home" \
		ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1 \
		RABBITMQ_NODENAME=ea@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
		RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$dist_port" \
		RABBITMQ_MNESIA_BASE="$RABBIT/data" RABBITMQ_LOG_BASE="$RABBIT/log" \
		RABBITMQ_PID_FILE="$RABBIT/node" \
		RABBITMQ_CONF_ENV_FILE="$RABBIT/env.conf" RABBITMQ_CONFIG_FILE="$RABBIT/rabbitmq.conf" \
		RABBITMQ_ADVANCED_CONFIG_FILE="$RABBIT/advanced.config" \
		RABBITMQ_ENABLED_PLUGINS_FILE="$RABBIT/enabled_plugins" \
		RABBITMQ_SCHEDULER_BIND_TYPE=u \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
		"$SERVER"
}

# rabbit_answers PORT: within 90 seconds. The start script stays as the parent
# of the Erlang node; the node is the process that is stopped or killed.
rabbit_answers() {
	local deadline=$((SECONDS + 90))
	while ((SECONDS < deadline)); do
		alive "$RABBIT/script.pid" || return 1
		if [[ -s $RABBIT/node ]] && record "$RABBIT/pid" "$(<"$RABBIT/node")" &&
			probe amqp "127.0.0.1:$1" >"$RABBIT/answer" 2>&1 && alive "$RABBIT/pid"; then
			return 0
		fi
		sleep 0.2
	done
	cat "$RABBIT/answer" >&2 || true
	return 1
}

rabbit_alive() {
	[[ -s $RABBIT/kind && -s $RABBIT/port ]] || return 1
	if [[ $(<"$RABBIT/kind") == docker ]]; then compose_alive rabbitmq; else alive "$RABBIT/pid"; fi
}

rabbit_stop() {
	[[ $(cat "$RABBIT/kind" 2>/dev/null) != docker ]] || compose_stop rabbitmq
	end "$RABBIT/pid" 45
	# Ends by itself after the node; when the node never came so far as to say
	# its pid, this ends both.
	end "$RABBIT/script.pid" 20
	end "$RABBIT/epmd.pid" 5
}

rabbit_kill() {
	if [[ $(<"$RABBIT/kind") == docker ]]; then
		compose kill -s KILL rabbitmq >>"$RUN/docker.log" 2>&1
	else
		murder "$RABBIT/pid"
		end "$RABBIT/script.pid" 5
	fi
}
