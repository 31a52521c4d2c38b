#!/bin/sh
# Points the PyPI package broadlink, a client of other authors, at the simulated INPLUG and its kin.
#
# usage: tests/clients/broadlink.sh [plug2mqtt binary]
#
# Needs python3 with venv, pip and cargo unless the binary is given. No root: the client takes a port. Traffic stays
# within 127.0.0.0/8, except for pip.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
version=0.19.0

if [ $# -gt 0 ]; then
    shelf=$1
else
    (cd "$root" && cargo build --quiet)
    shelf=$target/debug/plug2mqtt
fi

venv=$target/clients/broadlink-$version
if [ ! -e "$venv/complete" ]; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "broadlink==$version"
    touch "$venv/complete"
fi
"$venv/bin/python" "$here/broadlink.py" "$shelf" "$version"
