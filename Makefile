# Everything runs in .venv, which the targets make by themselves; it is made anew only when a requirements file changes.
# `make test ARGS="tests/db_client -x"` passes ARGS on; the same goes for run, demo, bench, faults and soak.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
ARGS   ?=

VENV     := .venv
BIN      := $(VENV)/bin
PROGRAMS := $(VENV)/programs.stamp
TOOLS    := $(VENV)/tools.stamp
PIP      := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: help
help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-10s %s\n", $$1, $$2}'

.PHONY: run
run: $(PROGRAMS) ## all of it on this machine: against Discord with a token, else against a simulated Discord
	@$(BIN)/python -m demo run $(ARGS)

.PHONY: demo
demo: $(PROGRAMS) ## a one-minute story with an outage and a crash; exits 0 only if what was stored is what was played
	@$(BIN)/python -m demo story $(ARGS)

.PHONY: test
test: $(TOOLS) ## every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

.PHONY: lint
lint: $(TOOLS) ## style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: bench
bench: $(TOOLS) ## what it costs, beside what it could cost at best
	@$(BIN)/python -m bench $(ARGS)

.PHONY: faults
faults: $(TOOLS) ## the delivery under faults, full counts (some twenty minutes)
	@$(BIN)/python -m tests.faults $(ARGS)

.PHONY: soak
soak: $(TOOLS) ## some minutes of 2,000 people, random faults and kills; stored time is compared with true time
	@$(BIN)/python -m tests.soak $(ARGS)

.PHONY: clean
clean: ## removes .venv and caches; what was recorded (data/) stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment --------------------------------------------------------------------------------------------------

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo >&2 "This needs Python 3.10 or newer, and there is no $(PYTHON) here: https://www.python.org/downloads/"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo >&2 "This needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) -V). With a newer one elsewhere: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V) ..."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo >&2 "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(PROGRAMS): requirements.txt | $(BIN)/python
	@echo "Installing what the programs need (requirements.txt); the first time takes a minute ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(TOOLS): requirements-dev.txt $(PROGRAMS)
	@echo "Installing what tests, lint and types need (requirements-dev.txt) ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@
