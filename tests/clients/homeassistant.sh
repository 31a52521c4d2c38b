#!/bin/sh
# Points the core of Home Assistant, in two releases, at the bridge with simulated plugs.
#
# usage: tests/clients/homeassistant.sh [plug2mqtt binary [RELEASE]]
#
# Needs mosquitto, venv, pip, cargo unless the binary is given, and a Python for each release: those below, found in
# PATH or as pyenv keeps them. A release whose Python is not there is said not to be checked. Releases after 2025.4 need
# Python 3.13.2, those after 2026.2 Python 3.14. No root. Traffic stays within 127.0.0.0/8, except for pip.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

# A Python of one of these versions that starts and can make a venv; pyenv's shims are there for versions that are not.
python() { # VERSION...
    for version in "$@"; do
        for python in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3 python3; do
            if [ "$("$python" -c 'import ensurepip, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
                echo "$python"
                return
            fi
        done
    done
}

check() { # RELEASE PYTHON-VERSION...
    release=$1
    shift
    python=$(python "$@")
    if [ -z "$python" ]; then
        echo "HOME ASSISTANT $release WAS NOT CHECKED: it needs Python $(echo "$*" | sed 's/ / or /'), which is not there"
        return
    fi
    pins=$here/homeassistant-$release.txt
    venv=$target/clients/homeassistant-$release
    if ! cmp -s "$pins" "$venv/complete"; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$pins"
        cp "$pins" "$venv/complete"
    fi
    "$venv/bin/python" "$here/homeassistant.py" "$shelf"
}

if [ $# -gt 0 ]; then
    shelf=$1
else
    (cd "$root" && cargo build --quiet)
    shelf=$target/debug/plug2mqtt
fi

# The first that takes one announcement for a whole device, and the last that Python 3.13.0 runs.
wanted=${2:-all}
jobs=
case $wanted in all | 2024.12.5) check 2024.12.5 3.12 3.13 & jobs="$jobs $!" ;; esac
case $wanted in all | 2025.4.4) check 2025.4.4 3.13 & jobs="$jobs $!" ;; esac
[ -n "$jobs" ] || { echo "there is no check of Home Assistant $wanted" >&2; exit 64; }
failed=0
for job in $jobs; do wait "$job" || failed=1; done
exit "$failed"
