#!/bin/sh
# Imports the example flow into Node-RED, the real one, beside `plug2mqtt demo`: it must show the plugs, switch nothing
# when it is deployed, switch and confirm at a press, and hold still while bridge/state is not online.
#
# usage: tests/clients/node-red.sh [plug2mqtt binary]
#
# Needs Node.js 18.5 or later with npm, network for npm, and cargo unless the binary is given. No root. Without Node.js it
# says that nothing was checked. Traffic stays within 127.0.0.0/8, except for npm.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
version=4.1.8

if ! command -v npm >/dev/null || ! node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null; then
    echo "NODE-RED $version WAS NOT CHECKED: it needs Node.js 18.5 or later with npm, which is not there"
    exit
fi

if [ $# -gt 0 ]; then
    shelf=$1
else
    (cd "$root" && cargo build --quiet)
    shelf=$target/debug/plug2mqtt
fi

home=$target/clients/node-red-$version
if [ ! -e "$home/complete" ]; then
    rm -rf "$home"
    mkdir -p "$home"
    npm install --silent --no-audit --no-fund --prefix "$home" "node-red@$version"
    touch "$home/complete"
fi
node "$here/node-red.js" "$(realpath "$shelf")" "$(realpath "$home")"
