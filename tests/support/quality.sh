#!/bin/sh
# Scores speech quality with PESQ. The package compiles C, so it is installed apart from the rest:
#   sh tests/support/quality.sh BIN_OF_VENV LOCK
set -eu
bin=$1
lock=$2

can_compile() {
    command -v cc >/dev/null && "$bin/python" -c 'import os, sysconfig
raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

if ! "$bin/python" -c 'import pesq' 2>/dev/null; then
    if ! can_compile && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update -qq && apt-get install -y -qq gcc libc6-dev python3-dev; } >/dev/null
    fi
    if ! can_compile; then
        echo "quality: PESQ compiles C; install a compiler and Python's headers (Debian: apt-get install gcc python3-dev)"
        [ -z "${CI:-}" ] || exit 1
        exit 0
    fi
    "$bin/python" -m pip --disable-pip-version-check -q install --require-hashes -r "$lock"
fi
exec "$bin/python" -m pytest -q -m quality tests/codecs
