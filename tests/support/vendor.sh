#!/bin/sh
# Runs the vendor's own clients against the emulated Lightning. They bring a great deal with them, so they have an
# environment of their own, where nothing of theirs changes what the bridge runs with:
#   sh tests/support/vendor.sh BIN_OF_VENV LOCK
set -eu
bin=$1
lock=$2
installed=$bin/../.installed

if [ ! -e "$installed" ] || [ "$lock" -nt "$installed" ]; then
    "$bin/python" -m pip --disable-pip-version-check -q install --no-compile --require-hashes -r "$lock"
    touch "$installed"
fi
exec "$bin/python" -m pytest -q -m vendor tests/vendor
