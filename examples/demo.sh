#!/bin/sh
# Shows the whole path of a model: starts a hub with its embedded database and a local folder, pushes the example model,
# waits until it has been loaded and run, pulls it back and compares every byte. Then the hub keeps running, to be looked
# at; with ONESHOT=1 it stops. Everything is kept in demo-data/, so that a second run finds what the first has left.
set -eu

cd "$(dirname "$0")/.."
data=$PWD/demo-data
carat=$PWD/bin/carat
model=demo/tiny-llama:latest
server=
copy=

# Credentials go to a folder of the demo's own, never to the user's.
export DOCKER_CONFIG="$data/docker"

cleanup() {
	status=$?
	trap - EXIT HUP INT TERM
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	[ -z "$copy" ] || rm -rf "$copy"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n==> %s\n' "$*"; }

fail() {
	printf 'demo: %s\n' "$*" >&2
	[ ! -s "$data/server.log" ] || { echo 'The last lines of demo-data/server.log:' >&2; tail -n 20 "$data/server.log" >&2; }
	exit 1
}

# start PORT starts the hub there and logs in. It returns 1 when the hub ended at once, as it does when the port is taken.
start() {
	"$carat" serve --addr "127.0.0.1:$1" --data "$data/hub" >"$data/server.log" 2>&1 &
	server=$!
	tries=0
	until login=$(printf '%s' "$CARAT_ADMIN_PASSWORD" | "$carat" login "127.0.0.1:$1" -u admin --password-stdin 2>&1); do
		if ! kill -0 "$server" 2>/dev/null; then
			wait "$server" || true
			server=
			return 1
		fi
		tries=$((tries + 1))
		[ "$tries" -lt 150 ] || fail "no login at 127.0.0.1:$1 after 30 seconds: $login"
		sleep 0.2
	done
	kill -0 "$server" 2>/dev/null # the login was not somebody else's on the same port
}

say 'Building carat'
make build

mkdir -p "$data" "$DOCKER_CONFIG"
chmod 700 "$data" "$DOCKER_CONFIG"
if [ ! -s "$data/admin-password" ]; then
	(umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$data/admin-password")
fi
CARAT_ADMIN_PASSWORD=$(cat "$data/admin-password")
export CARAT_ADMIN_PASSWORD

say 'Starting the hub on its embedded database and a folder'
first=${PORT:-8080}
port=$first
until start "$port"; do
	port=$((port + 1))
	[ "$port" -lt $((first + 20)) ] || fail "the hub does not start on any port from $first on"
done
host=127.0.0.1:$port
echo "serving at http://$host"

say 'Pushing examples/tiny-llama, and waiting for its verification'
"$carat" push examples/tiny-llama "$host/$model" --wait --timeout 5m || fail 'the push or the verification failed'

say 'Pulling it back and comparing every byte'
copy=$(mktemp -d)
"$carat" pull "$host/$model" -o "$copy" || fail 'the pull failed'
diff -r examples/tiny-llama "$copy" || fail 'what came back differs from what was pushed'
echo 'equal: every file came back byte for byte, and the verification passed'

if [ -n "${ONESHOT:-}" ]; then
	exit 0
fi
cat <<TXT

The hub is running at http://$host
  the model's page  http://$host/${model%:*}
  user and password admin, $CARAT_ADMIN_PASSWORD
Stop it with Ctrl-C; 'make demo' starts it again with what it has stored.
TXT
wait "$server"
