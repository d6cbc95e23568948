#!/bin/sh
# Writes the locks: exact versions with hashes, for every Python we support, and no addresses.
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-annotate --custom-compile-command "make lock" "$@"; }
compile -o requirements/base.txt
compile --extra demo --extra llm --group build -o requirements/demo.txt
compile --extra demo --extra llm --group build --group test -o requirements/test.txt
compile --extra demo --extra llm --group build --group test --group quality -o requirements/quality.txt
compile --group pytest --group vendor -o requirements/vendor.txt
