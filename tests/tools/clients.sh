#!/usr/bin/env bash
# Installs the Python clients that the demo and the tests hold the tap against, each set in a virtual environment of
# its own inside the build folder: target/clients/NAME, from the versions in requirements/NAME.txt.
#
#   clients.sh                  all that `make test` needs
#   clients.sh NAME...          only these; `postgres` installs server programs only where none are found
#
# A second run does nothing and is instant. One that was interrupted is made good by the next.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
clients=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")/clients
requirements=$root/tests/tools/requirements
python=${PYTHON:-python3}

fail() {
    echo "clients.sh: $*" >&2
    exit 1
}

check_python() {
    command -v "$python" >/dev/null ||
        fail "found no $python; install Python 3.10 or later (Debian, Ubuntu: apt-get install python3 python3-venv)"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$python" --version 2>&1) is too old; install Python 3.10 or later, or set PYTHON to one"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv)"
}

# Makes the environment NAME unless the one there was made from the same list, by the same Python, at the same place.
install() {
    local name=$1 folder=$clients/$1 list=$requirements/$1.txt stamp
    [ -f "$list" ] || fail "knows no clients named '$name'; there are: $(cd "$requirements" && echo *.txt | sed 's/\.txt//g')"
    stamp=$({
        cat "$list"
        "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
        echo "$folder"
    } | sha256sum)
    [ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || return 0
    echo "clients.sh: installing $name from PyPI into $folder" >&2
    rm -rf "$folder"
    "$python" -m venv "$folder" >"$clients/$name.log" 2>&1 &&
        "$folder/bin/python" -m pip install --disable-pip-version-check --no-deps --requirement "$list" >>"$clients/$name.log" 2>&1 ||
        fail "could not install $name: $(grep -E '^ERROR|^Error' "$clients/$name.log" | tail -n 1 || true) (the whole log is $clients/$name.log)"
    # Written last: without it the next run begins anew.
    echo "$stamp" >"$folder/stamp"
}

[ $# -gt 0 ] || set -- target-postgres pipelinewise-target-postgres tap-csv-folder tap-postgres tools postgres
check_python
mkdir -p "$clients"
# Two runs at a time take turns.
exec 9>"$clients/lock"
flock 9
for name in "$@"; do
    if [ "$name" = postgres ] && "$root/tests/tools/postgres.sh" programs >/dev/null 2>&1; then
        continue
    fi
    install "$name"
done
