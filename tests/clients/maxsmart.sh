#!/bin/sh
# Points the PyPI package maxsmart, a client of another author, at the simulated plugs.
#
# usage: tests/clients/maxsmart.sh [plug2mqtt binary]
#
# Needs python3 with venv, pip and cargo unless the binary is given. No root: the client's fixed ports are replaced.
# Traffic stays within 127.0.0.0/8, except for pip.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

if [ $# -gt 0 ]; then
    shelf=$1
else
    (cd "$root" && cargo build --quiet)
    shelf=$target/debug/plug2mqtt
fi

for version in 2.1.0 2.0.5; do
    venv=$target/clients/maxsmart-$version
    if [ ! -e "$venv/complete" ]; then
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "maxsmart==$version"
        touch "$venv/complete"
    fi
    "$venv/bin/python" "$here/maxsmart.py" "$shelf" "$version"
done
