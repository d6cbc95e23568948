# Everything sets itself up: `make demo` or `make test` on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
VENDOR = $(VENV)-vendor
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check -q
LOCKED = $(PIP) install --require-hashes
# Calls in the tests take their real time, most of it waiting: a file of tests to each of so many workers.
WORKERS ?= 2
# More for pytest: ARGS='--deselect tests/e2e/'.
ARGS ?=

.PHONY: demo test check unit quality vendor install install-test install-vendor speech lock bench bench-peers clean
.DEFAULT_GOAL := demo

demo: install  ## a whole call, offline: a table of what happened and a stereo WAV in ./demo
	@$(BIN)/bridge demo

test: check unit quality vendor demo  ## what CI runs

check: install-test  ## lint and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

unit: install-test speech  ## all tests but the two below
	@$(BIN)/python -m pytest -q -m "not quality and not vendor" -n $(WORKERS) --dist loadfile $(ARGS)

quality: install-test speech  ## speech quality through our path, scored with PESQ
	@sh tests/support/quality.sh $(BIN) requirements/quality.txt

vendor: install-vendor  ## the vendor's own clients, unchanged, against the emulated Lightning
	@$(VENDOR)/bin/python -m pytest -q -m vendor tests/vendor

speech: install-test  ## human recordings and the smart-turn model for the tests, into .cache/
	@$(BIN)/python tests/support/fetch_speech.py
	@$(BIN)/python tests/support/fetch_smart_turn.py

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test
install-vendor: $(VENDOR)/.installed

$(VENV)/.python $(VENDOR)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "bridge needs Python 3.11 or newer; say which with: make PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -m venv $(@D) 2>/dev/null || sh requirements/venv.sh $(PYTHON) $(@D)
	@touch $@

$(VENV)/.installed: requirements/demo.txt pyproject.toml | $(VENV)/.python
	@$(LOCKED) --no-compile -r requirements/demo.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-test: requirements/test.txt requirements/signalwire.txt $(VENV)/.installed
	@$(LOCKED) --no-compile -r requirements/test.txt
	@$(LOCKED) --no-compile --no-deps -r requirements/signalwire.txt
	@touch $@

# They bring a great deal with them: an environment of their own, where nothing of theirs changes what the bridge runs with.
$(VENDOR)/.installed: requirements/vendor.txt | $(VENDOR)/.python
	@$(VENDOR)/bin/python -m pip --disable-pip-version-check -q install --no-compile --require-hashes -r $<
	@touch $@

lock:  ## write requirements/*.txt anew from pyproject.toml (needs uv)
	@sh requirements/lock.sh

bench: install-test speech  ## the figures of README (minutes; two idle cores)
	@$(BIN)/python -m benchmarks.calls $(ARGS)

bench-peers: install-test speech .venv-peers/.installed  ## the same load on Pipecat too
	@$(BIN)/python -m benchmarks.calls --peers $(ARGS)

.venv-peers/.installed: pyproject.toml
	@$(PYTHON) -m venv .venv-peers 2>/dev/null || sh requirements/venv.sh $(PYTHON) .venv-peers
	@.venv-peers/bin/python -m pip install -q --disable-pip-version-check --upgrade "pip>=25.1"
	@.venv-peers/bin/python -m pip install -q --disable-pip-version-check --group peers
	@touch $@

clean:
	rm -rf $(VENV) $(VENDOR) .cache demo .mypy_cache .ruff_cache .pytest_cache
