#!/usr/bin/env bash
# The main job on an embedded default: a sandbox portal's tickets go to Postgres, some change, and the changes follow.
#
#   demo.sh [LOADER]    load through target-pg, or through target-postgres of meltanolabs, which clients.sh installs
#
# `make demo` and `make demo-meltanolabs` run it. It needs the programs of the profile quick, bash, and a Postgres server
# with psql; clients.sh installs one where there is none. What it leaves in the build folder's demo folder (config files,
# state, logs) is there to be read; the portal and the server are gone when it ends.
set -euo pipefail

loader=${1:-target-pg}
tickets=5000
changed=250
portal=245001234
schema=hubspot_tickets_$portal
# The sandbox's own token: it opens nothing else.
token=pat-na1-sandbox-token
# What HubSpot allows a private app of a Professional portal.
requests_per_10s=190

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$(cd "$tools/../.." && realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/demo

fail() {
    echo "make demo: $*" >&2
    exit 1
}

# The last line of a log that says anything.
last_line() {
    local line
    line=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1) || true
    echo "${line:-it said nothing}"
}

# Starts a server ($1, which names its files), with its command behind; sets $url to the last word of its first line.
# Servers keep running while this script holds their input open.
serve() {
    local name=$1 line
    shift
    mkfifo "$work/$name.in" "$work/$name.out"
    "$@" <"$work/$name.in" >"$work/$name.out" 2>"$work/$name.log" 8>&- 9>&- &
    servers+=($!)
    exec {input}>"$work/$name.in" {output}<"$work/$name.out"
    read -r line <&"$output" || fail "$name did not start: $(last_line "$work/$name.log")"
    url=${line##* }
}

stop_servers() {
    local server
    for server in "${servers[@]}"; do
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    done
    rm -f "$work"/*.in "$work"/*.out
}

# Prints the sandbox's answer to a call ($1: method, $2: what) of its control API.
control() {
    local address=${portal_url#http://} answer
    exec 7<>"/dev/tcp/${address%:*}/${address#*:}" || fail "the sandbox portal does not answer at $portal_url"
    printf '%s /_sandbox/%s HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n\r\n' "$1" "$2" "$address" >&7
    answer=$(cat <&7)
    exec 7>&-
    [[ $answer == HTTP/1.?' 200 '* ]] || fail "the sandbox portal refuses $1 $2: ${answer%%$'\r'*}"
    printf '%s' "${answer#*$'\r\n\r\n'}"
}

# Runs psql without anything of the user's own.
query() {
    "$psql" --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set "schema=$schema" "$@" "$database_url"
}

# Prints a count of rows for each table as JSON; $1 is a condition.
rows() {
    query --tuples-only --no-align <<SQL
select 'select json_object_agg(name, n) from (' || string_agg(format(
    'select %L as name, count(*) as n from %I.%I where %s', table_name, table_schema, table_name, \$\$$1\$\$),
    ' union all ') || ') counted'
from information_schema.tables where table_schema = :'schema' \gexec
SQL
}

# Shows a command as a user types it and runs it in the work folder; adds the seconds it took to $seconds. $2 is its log.
run() {
    local code=0
    printf '\n$ %s\n' "$1"
    { time (cd "$work" && PATH=$programs:$PATH bash -o pipefail -c "$1" 2>"$2" 8>&- 9>&-) ||
        code=$?; } 2>"$work/seconds"
    [ "$code" = 0 ] ||
        fail "that command ended with exit code $code: $(last_line "$work/$2") (all of it: $work/$2)"
    seconds+=("$(tail -n 1 "$work/seconds")")
    rm "$work/seconds"
}

write_configs() {
    cat >"$work/config.json" <<JSON
{
  "access_token": "$token",
  "organization_id": "$portal",
  "api_base_url": "$portal_url"
}
JSON
    if [ "$loader" = target-pg ]; then
        cat >"$work/target.json" <<JSON
{
  "sqlalchemy_url": "$database_url",
  "default_target_schema": "$schema",
  "sanitize_null_text_characters": true
}
JSON
        return
    fi
    # In UTC, or target-postgres would store instants in the server's own time zone.
    cat >"$work/target.json" <<JSON
{
  "sqlalchemy_url": "${database_url/postgresql:/postgresql+psycopg:}?options=-c%20TimeZone%3DUTC",
  "default_target_schema": "$schema",
  "sanitize_null_text_characters": true,
  "validate_records": false
}
JSON
}

demo() {
    local main counts change first second written
    main="tap-hubspot-tickets --config config.json --state state.json --output '$loader --config target.json'"
    write_configs
    counts=("$(control GET counts)")
    run "$main" first-load.log
    counts+=("$(control GET counts)")
    first=$(rows true)
    change=$(control POST "change?tickets=$changed")
    query --tuples-only --no-align --set "change=$change" <<'SQL'
select format(E'\nIn the portal %s tickets change now, %s are deleted and %s are new.',
    jsonb_array_length(c -> 'updated'), jsonb_array_length(c -> 'archived'), jsonb_array_length(c -> 'created'))
from (select :'change'::jsonb) as changes (c);
SQL
    run "$main" second-load.log
    counts+=("$(control GET counts)")
    second=$(rows true)
    # Scans are named by their time.
    written=$(rows "_scan_id = (select max(_scan_id) from $schema.tickets)")
    query --set "change=$change" --set "first=$first" --set "second=$second" --set "written=$written" \
        --set "before=${counts[0]}" --set "between=${counts[1]}" --set "after=${counts[2]}" \
        --set "first_seconds=${seconds[0]}" --set "second_seconds=${seconds[1]}" --file "$tools/demo.sql"
    printf '\nConfig files, state and logs: %s\n' "$work"
}

case $loader in
target-pg) programs=$target/quick ;;
target-postgres) programs=$target/quick:$target/clients/target-postgres/bin ;;
*) fail "$loader is no loader of it; there are target-pg and target-postgres" ;;
esac
psql=$("$tools/postgres.sh" programs)/psql
[ -x "$psql" ] || psql=$(command -v psql) || fail "found no psql; install it (Debian, Ubuntu: apt-get install postgresql-client)"
export PGTZ=UTC PGOPTIONS= LC_ALL=${LC_ALL:-C.UTF-8} PGCLIENTENCODING=UTF8 PAGER=
TIMEFORMAT=%R
servers=()
seconds=()

mkdir -p "$target"
exec 9>"$target/demo.lock"
flock --nonblock 9 || fail "another demo is running in this build folder"
rm -rf "$work"
mkdir "$work"
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

printf "A sandbox portal with %'d tickets and %d requests per ten seconds, and a new Postgres.\n" "$tickets" "$requests_per_10s"
serve hubspot-sandbox "$target/quick/hubspot-sandbox" --port 0 --tickets "$tickets" --portal-id "$portal" \
    --general-per-10s "$requests_per_10s"
portal_url=$url
serve postgres "$tools/postgres.sh" serve
database_url=$url
demo
