# shellcheck shell=bash
# Shared by scripts/infra: what is said, where state lives, which process is
# ours, which port is free, and who may change anything at this moment.

# A reader of the output that has gone (make up | head) must not end a script in
# the middle of its work. A handler, since what is started inherits an ignored
# signal.
trap : PIPE
say() { printf '%s\n' "$*" >&2 2>/dev/null || true; }
die() {
	say "scripts/infra: $*"
	exit 1
}

# listed A B C: "A, B and C".
listed() {
	local text=$1
	shift
	while (($# > 1)); do
		text+=", $1"
		shift
	done
	printf '%s' "$text${1:+ and $1}"
}

# not_named VARIABLE: why its address is not used.
not_named() {
	if [[ -n ${EA_INFRA_PRIVATE:-} ]]; then
		printf '%s is not looked at (EA_INFRA_PRIVATE is set)' "$1"
	elif [[ -n ${!1:-} ]]; then
		printf '%s names the one that was started here before' "$1"
	else
		printf '%s is not set' "$1"
	fi
}

# cache_dir is shared by all clones on the machine: the Python environment
# (20 s to build) and secantusd-rs (5 minutes) belong to a version, not to a
# working copy.
cache_dir() { printf '%s/events-aggregator' "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}"; }

# --- Which process is ours -------------------------------------------------
# A pid alone may have been given to somebody else since (after a crash or a
# reboot), and that process must never be killed. A record is therefore
# "pid start-time boot", and counts only while all three agree.

boot_id() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }

# proc_start prints the start time of a live process; a zombie is dead.
proc_start() {
	local stat
	if [[ -r /proc/self/stat ]]; then
		IFS= read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
		# The command name may hold spaces and parentheses: count from behind it.
		# shellcheck disable=SC2086
		set -- ${stat##*) }
		[[ $1 != Z && $1 != X ]] || return 1
		printf '%s' "${20}"
	else
		stat=$(ps -o lstart= -p "$1" 2>/dev/null) || return 1
		printf '%s' "${stat// /_}"
	fi
}

# record FILE PID
record() {
	local start
	start=$(proc_start "$2") || return 1
	printf '%s %s %s\n' "$2" "$start" "$(boot_id)" >"$1"
}

# alive FILE: the recorded process lives.
alive() {
	local pid start boot
	[[ -s $1 ]] && read -r pid start boot <"$1" || return 1
	[[ $boot == "$(boot_id)" && $(proc_start "$pid") == "$start" ]]
}

pid_of() { cut -d' ' -f1 "$1"; }

# end FILE SECONDS: SIGTERM, then SIGKILL when the time is up.
end() {
	local file=$1 tries=$(($2 * 10))
	if alive "$file"; then
		kill -TERM "$(pid_of "$file")" 2>/dev/null || true
		while alive "$file" && ((tries-- > 0)); do sleep 0.1; done
		if alive "$file"; then
			say "  pid $(pid_of "$file") did not stop within $2 s: killed"
			murder "$file"
		fi
	fi
	rm -f "$file"
}

# murder FILE: SIGKILL, and wait until it is gone, so that its locks and its
# port are free when this returns.
murder() {
	local tries=100
	alive "$1" || return 0
	kill -KILL "$(pid_of "$1")" 2>/dev/null || true
	while alive "$1" && ((tries-- > 0)); do sleep 0.1; done
}

# launch RECORD LOG COMMAND…: start a server in a session of its own, so that
# Ctrl-C in the terminal that started it does not reach it, and without the
# lock's file descriptors, so that it does not hold the lock for life.
launch() {
	local file=$1 log=$2 runner=(nohup)
	shift 2
	command -v setsid >/dev/null && runner=(setsid)
	"${runner[@]}" "$@" </dev/null >>"$log" 2>&1 8>&- 9>&- &
	record "$file" $! || return 1
}

# --- Ports -----------------------------------------------------------------

PROBE=

# probe … asks the small Go program beside this file (scripts/probe): is this
# port free, does a server answer there in MongoDB's or AMQP's own words.
probe() {
	if [[ -z $PROBE ]]; then
		command -v go >/dev/null || die "Go is not on PATH. Install Go 1.26 or later (https://go.dev/dl/)."
		mkdir -p "$RUN/bin"
		(cd "$ROOT" && go build -trimpath -buildvcs=false -o "$RUN/bin/probe" ./scripts/probe) || die "scripts/probe does not build"
		PROBE=$RUN/bin/probe
	fi
	"$PROBE" "$@"
}

# free_port WANTED…: the first of the wanted ports that is free, else another.
free_port() { probe port "$@"; }

# --- Locks -----------------------------------------------------------------

# lock_run: one command at a time per run directory.
lock_run() {
	mkdir -p "$RUN"
	command -v flock >/dev/null || return 0
	exec 9>>"$RUN/lock"
	flock -w 600 9 || die "another scripts/infra has held $RUN/lock for ten minutes"
}

# lock_ports: between choosing a port and listening on it, no other run
# directory of this user may choose; else two clones that start together would
# agree on the same port, and the slower would talk to the faster one's server.
lock_ports() {
	command -v flock >/dev/null || return 0
	exec 8>>"${TMPDIR:-/tmp}/events-aggregator-ports-$(id -u).lock"
	flock -w 300 8 || die "another scripts/infra has been starting servers for five minutes"
}
unlock_ports() { exec 8>&-; }

# --- What can be installed -------------------------------------------------

can_apt() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

# apt_install PACKAGE…: without starting any service: Debian starts a packaged
# server as it is installed, on its default port and all interfaces, and that
# one would be neither ours nor private.
apt_install() {
	local log=$RUN/apt.log policy=/usr/sbin/policy-rc.d made='' result=0
	mkdir -p "$RUN"
	local get=(env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300)
	say "  apt-get install $* (log: $log)"
	if [[ ! -e $policy ]]; then
		made=yes
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	"${get[@]}" install --no-install-recommends "$@" >>"$log" 2>&1 8>&- 9>&- ||
		{ "${get[@]}" update >>"$log" 2>&1 8>&- 9>&- &&
			"${get[@]}" install --no-install-recommends "$@" >>"$log" 2>&1 8>&- 9>&-; } || result=1
	[[ -z $made ]] || rm -f "$policy"
	((result == 0)) || tail -n 5 "$log" >&2
	return "$result"
}

# --- Docker Compose --------------------------------------------------------

DOCKER=

# docker_answers: the client, the compose plug-in and, above all, an engine.
# DOCKER says yes, or what is missing.
docker_answers() {
	if [[ -n $DOCKER ]]; then
		:
	elif ! command -v docker >/dev/null; then
		DOCKER="there is no docker on PATH"
	elif ! docker compose version >/dev/null 2>&1; then
		DOCKER="docker is here without Compose"
	elif ! timeout 10 docker info >/dev/null 2>&1; then
		DOCKER="no Docker engine answers"
	else
		DOCKER=yes
	fi
	[[ $DOCKER == yes ]]
}

# compose …: a project name per run directory, so that what is stopped is what
# was started here and several clones do not meet.
compose() {
	EA_PORT_MONGODB=$(cat "$RUN/mongodb/port" 2>/dev/null || echo 27017) \
	EA_PORT_RABBITMQ=$(cat "$RUN/rabbitmq/port" 2>/dev/null || echo 5672) EA_PORT_RABBITMQ_MANAGEMENT=0 \
		docker compose -p "ea-$(printf '%s' "$RUN" | cksum | cut -d' ' -f1)" \
		-f "$ROOT/docker-compose.yml" "$@" 8>&- 9>&-
}

# compose_up SERVICE: started and healthy.
compose_up() {
	compose up -d --no-deps --wait --wait-timeout 120 "$1" >>"$RUN/docker.log" 2>&1 || {
		tail -n 3 "$RUN/docker.log" >&2
		return 1
	}
}

# compose_stop SERVICE: an engine that has gone has taken its containers along,
# and must not keep the rest from being stopped.
compose_stop() { compose stop "$1" >>"$RUN/docker.log" 2>&1 || true; }
compose_alive() { docker_answers && [[ -n $(compose ps -q --status running "$1" 2>/dev/null) ]]; }
