# The commands of the project. `make run` and `make test` need Python 3.11+, make and git, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LISTEN ?= ws://127.0.0.1:4500

.PHONY: run serve setup test lint types contracts unit bench protocol

run: setup ## play a whole session on the embedded demo provider
	$(BIN)/python -m tools.demo

serve: setup ## serve clients; LISTEN=stdio://, ws://IP:PORT or unix://PATH
	$(BIN)/rollout-engine app-server --listen $(LISTEN)

setup: $(VENV)/.ready ## everything the project needs, into .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

test: setup lint types contracts protocol unit ## all that must hold before a change lands

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

protocol:
	$(BIN)/python -m tools.protocol --check

unit:
	$(BIN)/python -m pytest

bench: setup ## ratios against baselines measured in the same run
	$(BIN)/python -m tools.bench
