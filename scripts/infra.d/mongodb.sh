# shellcheck shell=bash
# MongoDB for development: found or started, in this order:
# EA_MONGO_URI, mongod, Docker Compose, secantusd-rs, SecantusDB's wheel.

WHEEL_VERSION=0.7.0b3
RUST_VERSION=0.5.3-beta.196
# MongoDB's default is a minute. A process killed inside a transaction keeps
# its documents locked for that long, so a restart waits less with ten.
TRANSACTION_LIFETIME=10

MONGO=$RUN/mongodb
# Not 27017: a private server must not be mistaken for a shared one.
MONGO_PORT_WANTED=27027

mongo_up() {
	mkdir -p "$MONGO"
	local forced=${EA_MONGO:-} kind
	[[ " mongod docker rust wheel " == *" $forced "* || -z $forced ]] ||
		die "EA_MONGO=$forced: must be one of mongod, docker, rust, wheel"
	if [[ -z $forced && -n ${EA_MONGO_URI:-} && -z ${EA_INFRA_PRIVATE:-} && $EA_MONGO_URI != "$(mongo_uri)" ]]; then
		MONGO_URI=$EA_MONGO_URI
		# One that was started here before would never be stopped, without its kind. A
		# make run beside this goes on with it.
		if mongo_alive && ! run_beside && [[ $EA_MONGO_URI != *:"$(<"$MONGO/port")"* ]]; then
			say "MongoDB: stopping $(mongo_name "$(<"$MONGO/kind")"), since EA_MONGO_URI names another"
			mongo_stop
		fi
		mongo_alive || rm -f "$MONGO/kind"
		say "MongoDB: the one EA_MONGO_URI names (neither started nor stopped here)"
		return
	fi
	if mongo_alive; then
		kind=$(<"$MONGO/kind")
		if [[ -n $forced && $forced != "$kind" ]]; then
			# What runs is stopped only when there is something to replace it.
			"mongo_has_$forced" || die "EA_MONGO=$forced: $WHY_NOT"
			say "MongoDB: stopping $(mongo_name "$kind"), since EA_MONGO=$forced asks for another"
		elif mongo_answers "$(<"$MONGO/port")" "$kind"; then
			MONGO_URI=$(mongo_uri)
			say "MongoDB: $(mongo_name "$kind"), already running on port $(<"$MONGO/port")"
			return
		else
			say "MongoDB: $(mongo_name "$kind") runs but does not answer; starting it again"
		fi
		mongo_stop
	fi
	local order=(mongod docker rust wheel) passed_over=() log
	[[ -z $forced ]] || order=("$forced")
	for kind in "${order[@]}"; do
		if ! "mongo_has_$kind"; then
			passed_over+=("$WHY_NOT")
			continue
		fi
		[[ -z $forced ]] || WHY="EA_MONGO=$forced asks for it"
		if mongo_first_start "$kind"; then
			MONGO_URI=$(mongo_uri)
			say "MongoDB: $(mongo_name "$kind") on port $(<"$MONGO/port"), because $(listed "${passed_over[@]}" "$WHY")"
			return
		fi
		log=$MONGO/$kind.log
		[[ $kind != docker ]] || log=$RUN/docker.log
		passed_over+=("$(mongo_name "$kind") did not start (log: $log)")
		say "MongoDB: ${passed_over[-1]}"
	done
	[[ -z $forced ]] || die "EA_MONGO=$forced: ${passed_over[0]}"
	die "no MongoDB: $(listed "$(not_named EA_MONGO_URI)" "${passed_over[@]}").
Install one of: MongoDB 7 (https://www.mongodb.com/docs/manual/installation/), Docker with Compose, Rust (then: make mongo-fast), or Python 3.10–3.13 with venv (Debian: apt-get install python3 python3-venv)."
}

mongo_name() {
	case $1 in
	mongod) echo "mongod" ;;
	docker) echo "MongoDB in Docker Compose" ;;
	rust) echo "secantusd-rs (SecantusDB, Rust)" ;;
	wheel) echo "SecantusDB $WHEEL_VERSION (Python wheel)" ;;
	esac
}

mongo_uri() {
	[[ -s $MONGO/kind && -s $MONGO/port ]] || return 0
	case $(<"$MONGO/kind") in
	mongod) printf 'mongodb://127.0.0.1:%s/?replicaSet=ea' "$(<"$MONGO/port")" ;;
	# The container's replica set knows itself by the name that the other
	# containers use; from outside it is reached directly.
	docker) printf 'mongodb://127.0.0.1:%s/?directConnection=true' "$(<"$MONGO/port")" ;;
	*) printf 'mongodb://127.0.0.1:%s/' "$(<"$MONGO/port")" ;;
	esac
}

# --- What is there. Each sets WHY, or WHY_NOT. -------------------------------

mongo_has_mongod() {
	WHY="mongod is on PATH" WHY_NOT="there is no mongod on PATH"
	command -v mongod >/dev/null
}

mongo_has_docker() {
	WHY="a Docker engine answers"
	docker_answers || {
		WHY_NOT=$DOCKER
		return 1
	}
}

mongo_has_rust() {
	WHY_NOT="there is no secantusd-rs (make mongo-fast builds one)"
	if RUST_BIN=$(command -v secantusd-rs); then
		WHY="secantusd-rs is on PATH"
	elif RUST_BIN=$(rust_built); then
		WHY="make mongo-fast has built it"
	else
		return 1
	fi
}

mongo_has_wheel() {
	WHY="it needs nothing but Python"
	wheel_ready || wheel_build
}

# rust_built prints the path of what make mongo-fast has built.
rust_built() {
	local bin
	bin=$(cache_dir)/secantus-mdb-$RUST_VERSION/bin/secantusd-rs
	[[ -x $bin ]] && printf '%s' "$bin"
}

# --- The wheel's environment -------------------------------------------------

# python_fit prints a Python that the wheel supports and that can make virtual
# environments: the distribution's, which is built with what profiles tell (the
# server needs a fifth less with it), or the newest.
python_fit() {
	local candidate
	for candidate in $(type -ap python3 | grep -xF /usr/bin/python3) python3.13 python3.12 python3.11 python3.10 python3; do
		if "$candidate" -c 'import ensurepip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
			"$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))' # with its version, which an upgrade removes
			return
		fi
	done
	return 1
}

wheel_dir() { printf '%s/secantus-%s' "$(cache_dir)" "$WHEEL_VERSION"; }
wheel_ready() { [[ -f $(wheel_dir)/complete ]] && "$(wheel_dir)/bin/python" -c '' 2>/dev/null; }

# wheel_build fills the environment in place (a virtual environment cannot be
# moved), and marks it complete last: an interrupted build is begun again.
wheel_build() {
	local dir python log=$RUN/wheel.log
	dir=$(wheel_dir)
	if ! python=$(python_fit); then
		if can_apt; then apt_install python3 python3-venv || true; fi
		python=$(python_fit) || {
			WHY_NOT="there is no Python 3.10–3.13 that can make virtual environments$(can_apt || echo ", and installing it (python3, python3-venv) needs root and apt")"
			return 1
		}
	fi
	mkdir -p "$(cache_dir)"
	(
		if command -v flock >/dev/null; then flock -w 600 7 || exit 1; fi
		wheel_ready && exit 0
		say "  installing SecantusDB $WHEEL_VERSION into $dir (once, about 20 s)"
		rm -rf "$dir"
		"$python" -m venv "$dir" >>"$log" 2>&1 || exit 2
		timeout 600 "$dir/bin/python" -m pip install --quiet --disable-pip-version-check \
			"SecantusDB==$WHEEL_VERSION" >>"$log" 2>&1 || exit 3
		touch "$dir/complete"
	) 7>>"$(cache_dir)/wheel.lock" 8>&- 9>&- && return 0
	case $? in
	2) WHY_NOT="$python could not make a virtual environment (log: $log)" ;;
	3) WHY_NOT="pip could not install SecantusDB $WHEEL_VERSION (log: $log)" ;;
	*) WHY_NOT="the Python environment could not be built (log: $log)" ;;
	esac
	return 1
}

# --- Start, stop -------------------------------------------------------------

# mongo_first_start KIND: on the port used before when it is free, else on
# another one. Tried again when somebody took the port in between.
mongo_first_start() {
	local kind=$1 try port
	for try in 1 2 3; do
		lock_ports
		# A private pair takes any port, so that it is never in the way of make run.
		port=$(free_port "$(cat "$MONGO/port" 2>/dev/null || ([[ -n ${EA_INFRA_PRIVATE:-} ]] || echo $MONGO_PORT_WANTED))")
		printf '%s\n' "$kind" >"$MONGO/kind"
		printf '%s\n' "$port" >"$MONGO/port"
		if mongo_start; then
			unlock_ports
			return 0
		fi
		unlock_ports
		[[ $kind != docker && $(free_port "$port") != "$port" ]] || return 1
		say "  port $port was taken meanwhile, trying another ($try)"
	done
	return 1
}

# mongo_start starts what kind and port say, and returns when it answers.
mongo_start() {
	local kind port data log
	kind=$(<"$MONGO/kind") port=$(<"$MONGO/port")
	data=$MONGO/data-$kind log=$MONGO/$kind.log
	mkdir -p "$data"
	# An empty file keeps a secantusd.toml in somebody's home directory out of it.
	: >"$MONGO/secantusd.toml"
	local secantus=(--config "$MONGO/secantusd.toml" --host 127.0.0.1 --port "$port"
		--storage-path "$data" --sync-on-commit --cache-size 1G)
	case $kind in
	docker)
		compose_up mongodb
		return
		;;
	mongod)
		launch "$MONGO/pid" "$log" mongod --replSet ea --bind_ip 127.0.0.1 --port "$port" --dbpath "$data" \
			--nounixsocket --setParameter "transactionLifetimeLimitSeconds=$TRANSACTION_LIFETIME"
		;;
	rust)
		[[ -n $RUST_BIN ]] || mongo_has_rust || die "$WHY_NOT"
		launch "$MONGO/pid" "$log" "$RUST_BIN" "${secantus[@]}"
		;;
	wheel)
		launch "$MONGO/pid" "$log" env PYTHONDONTWRITEBYTECODE=1 "$(wheel_dir)/bin/python" \
			"$ROOT/scripts/infra.d/secantusd.py" "$TRANSACTION_LIFETIME" "${secantus[@]}"
		;;
	esac || return 1
	mongo_answers "$port" "$kind" || {
		tail -n 5 "$log" >&2
		end "$MONGO/pid" 5
		return 1
	}
}

# mongo_answers PORT KIND: within a minute, and as a primary.
mongo_answers() {
	[[ $2 != docker ]] || return 0 # Compose has waited for its health check
	local deadline=$((SECONDS + 60))
	while ((SECONDS < deadline)) && alive "$MONGO/pid"; do
		case $2 in
		mongod) probe mongo-initiate "127.0.0.1:$1" ea ;;
		rust) probe mongo-hello "127.0.0.1:$1" && probe mongo-lifetime "127.0.0.1:$1" "$TRANSACTION_LIFETIME" ;;
		*) probe mongo-hello "127.0.0.1:$1" ;;
		esac >"$MONGO/answer" 2>&1 && alive "$MONGO/pid" && return 0
		sleep 0.1
	done
	cat "$MONGO/answer" >&2 || true
	return 1
}

mongo_alive() {
	[[ -s $MONGO/kind && -s $MONGO/port ]] || return 1
	if [[ $(<"$MONGO/kind") == docker ]]; then compose_alive mongodb; else alive "$MONGO/pid"; fi
}

mongo_stop() {
	[[ $(cat "$MONGO/kind" 2>/dev/null) != docker ]] || compose_stop mongodb
	end "$MONGO/pid" 30
}

mongo_kill() {
	if [[ $(<"$MONGO/kind") == docker ]]; then
		compose kill -s KILL mongodb >>"$RUN/docker.log" 2>&1
	else
		murder "$MONGO/pid"
	fi
}
