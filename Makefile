# make help lists the targets. The first target that needs it sets up .venv from requirements.lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE  # kernels and servers would compile all they import, each anew

.PHONY: help demo test quick judge bench lint setup lock environment clean

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: $(VENV)/.ready   ## set up, fill a workspace with the example company (or DATA=folder), train, forecast, report
	@$(BIN)/salesml demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.ready-dev browser   ## set up, then lint, types and every test
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: $(VENV)/.ready-dev   ## lint and the tests that take seconds
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(VENV)/.ready-dev   ## ruff and mypy
	@$(BIN)/ruff check src tests benchmarks .ci
	@$(BIN)/mypy

judge: $(VENV)/.ready   ## try the methods on 200 tiny and 20 demo companies whose truth is known; about 45 minutes
	@$(BIN)/salesml world judge --tiny 200 --demo 20

bench: $(VENV)/.ready-dev   ## measure; JSON into benchmarks/results/
	@$(BIN)/python -m benchmarks

setup: $(VENV)/.ready-dev   ## only set up

$(VENV)/.uv:
	@echo "setting up $(VENV) (1/3): virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet "uv>=0.9" && touch $@

$(VENV)/.ready: $(VENV)/.uv requirements.lock pyproject.toml
	@echo "setting up $(VENV) (2/3): packages from requirements.lock"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@echo "setting up $(VENV) (3/3): salesml itself"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e . && touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@touch $@

.PHONY: browser
browser:
	@command -v chromium >/dev/null || { echo "installing chromium for the browser tests"; \
	  (apt-get update -qq && apt-get install -y -qq chromium chromium-driver) >/dev/null 2>&1 || \
	  echo "no chromium here: the browser tests will be skipped and say so"; }
	@test -f $(VENV)/axe/node_modules/axe-core/axe.min.js || ! command -v npm >/dev/null || \
	  npm install --silent --no-audit --no-fund --prefix $(VENV)/axe axe-core@4.14.1 >/dev/null 2>&1 || \
	  echo "axe-core is not to be had from npm here: an older one is used"

lock: $(VENV)/.uv   ## resolve pyproject.toml again: requirements.lock (names, versions, hashes) and environment.yml
	@$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --quiet -o requirements.lock $(LOCKARGS)
	@$(MAKE) --no-print-directory environment

environment:     ## write environment.yml from pyproject.toml and requirements.lock
	@$(PYTHON) .ci/environment_yml.py > environment.yml

clean:           ## remove generated files; workspaces stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/results
