#!/usr/bin/env bash
# The container image: builds it, runs it, tells what is in it.
#
#   image.sh possible                       tell by the exit code whether it can be built here
#   image.sh build                          build the static program and the image tap-hubspot-tickets
#   image.sh run FOLDER PROGRAM ARGUMENT... run a program of the image with FOLDER as its working folder
#   image.sh describe                       tell its user, size and linking as JSON
#
# With buildah, podman or docker, whichever is found first; Debian and Ubuntu have buildah as a package.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
target=$(realpath -m --relative-to=. "${CARGO_TARGET_DIR:-target}")
triple=$(uname -m)-unknown-linux-musl
image=tap-hubspot-tickets

fail() {
    echo "image.sh: $*" >&2
    exit 1
}

engine() {
    local name
    for name in buildah podman docker; do
        if command -v "$name" >/dev/null && { [ "$name" != docker ] || docker info >/dev/null 2>&1; }; then
            echo "$name"
            return
        fi
    done
    fail "found neither buildah, podman nor a running docker; install one (Debian, Ubuntu: apt-get install buildah)"
}

# Buildah's and podman's defaults ask for a kernel that nested machines do not have.
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs

possible() {
    engine >/dev/null
    command -v rustup >/dev/null || fail "found no rustup, which has the standard library for $triple"
    rustup target list --installed 2>/dev/null | grep -qx "$triple" || rustup target add "$triple" >&2 ||
        fail "could not install the standard library for $triple"
}

build() {
    possible
    # The C parts of the TLS library need next to nothing of a libc: the host's compiler does for them.
    local compiler=CC_${triple//-/_}
    env "$compiler=${!compiler:-cc}" \
        cargo build --release --locked --quiet --target "$triple" \
        --package tap-hubspot-tickets --bin tap-hubspot-tickets >&2
    local context=$target/image
    rm -rf "$context"
    mkdir -p "$context/bin"
    cp "$target/$triple/release/tap-hubspot-tickets" "$context/bin"
    # Called by another program's name it is that program.
    ln -s tap-hubspot-tickets "$context/bin/source-hubspot-tickets"
    ln -s tap-hubspot-tickets "$context/bin/target-hubspot"
    ln -s tap-hubspot-tickets "$context/bin/target-pg"
    cp /etc/ssl/certs/ca-certificates.crt "$context" ||
        fail "found no certificates at /etc/ssl/certs/ca-certificates.crt; install ca-certificates"
    case $(engine) in
    buildah) buildah bud --quiet --tag "$image" --file Containerfile "$context" >&2 ;;
    *) "$(engine)" build --quiet --tag "$image" --file Containerfile "$context" >&2 ;;
    esac
}

case "${1:-}" in
possible)
    possible
    ;;
build)
    build
    ;;
run)
    [ $# -ge 3 ] || fail "usage: image.sh run FOLDER PROGRAM ARGUMENT..."
    folder=$(realpath "$2")
    program=/usr/local/bin/$3
    shift 3
    case $(engine) in
    buildah)
        container=$(buildah from --pull-never "$image")
        trap 'buildah rm "$container" >/dev/null' EXIT
        buildah run --network host --volume "$folder:/data" "$container" "$program" "$@"
        ;;
    *) "$(engine)" run --rm --network host --volume "$folder:/data" --entrypoint "$program" "$image" "$@" ;;
    esac
    ;;
describe)
    case $(engine) in
    buildah)
        user=$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' "$image")
        container=$(buildah from --pull-never "$image")
        trap 'buildah rm "$container" >/dev/null' EXIT
        bytes=$(du --summarize --bytes "$(buildah mount "$container")" | cut -f 1)
        ;;
    *)
        user=$("$(engine)" image inspect --format '{{.Config.User}}' "$image")
        bytes=$("$(engine)" image inspect --format '{{.Size}}' "$image")
        ;;
    esac
    program=$target/image/bin/tap-hubspot-tickets
    linked=dynamic
    # A program that asks for no interpreter is loaded by the kernel alone.
    readelf --program-headers "$program" | grep -q INTERP || linked=static
    printf '{"user": "%s", "linked": "%s", "megabytes": %s}\n' "$user" "$linked" "$((bytes / 1000000))"
    ;;
*)
    fail "usage: image.sh possible | build | run FOLDER PROGRAM ARGUMENT... | describe"
    ;;
esac
