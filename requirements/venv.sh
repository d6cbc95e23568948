#!/bin/sh
# Debian ships Python without venv. Where we may, install it; else say what to install: venv.sh PYTHON VENV
set -eu
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq python3-venv; } >/dev/null
    exec "$1" -m venv --clear "$2"
fi
echo "cannot make a virtual environment with $1; on Debian or Ubuntu: apt-get install python3-venv"
exit 1
