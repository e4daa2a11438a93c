# `make` lists what it can do. It needs Python 3.11 or newer, make and git; everything else is fetched into this folder.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix trees bench clean

PYTHON ?= python3
PORT ?= 8000
TEMPLATE := {{cookiecutter.project_slug}}
CHECKED := build/check/my-secure-api

# uv is used where it is on PATH; otherwise it is fetched into .tools.
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := .tools/bin/uv
endif
RUN := $(UV) run --no-sync

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/bin/uv:
	@echo "Fetching uv into .tools …"
	@$(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv

.PHONY: requirements
requirements:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "This needs Python 3.11 or newer as $(PYTHON). Install it, or run: make PYTHON=/path/to/python"; exit 1; }
	@command -v git >/dev/null || { echo "This needs git. Install it from https://git-scm.com/downloads"; exit 1; }

ifeq ($(UV),.tools/bin/uv)
.tools/bin/uv: | requirements
setup: .tools/bin/uv
endif

setup: requirements ## Install the tools into .venv
	@$(UV) sync --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

demo: setup ## Render, install and serve the default project on 127.0.0.1:8000 (PORT=8001 for another)
	@$(RUN) python scripts/demo.py --port $(PORT)

test: check ## Run every test, of the template and of rendered projects
	$(RUN) pytest -n auto -m "not rendered"
	$(RUN) pytest -m rendered

check: setup ## Check format, lint and types; changes no file
	@git clean -fdXq -- '$(TEMPLATE)'
	$(RUN) ruff format --check hooks scripts tests
	$(RUN) ruff check hooks scripts tests
	$(RUN) mypy
	@$(RUN) python -m cookiecutter --no-input -f --config-file scripts/cookiecutter.yaml -o build/check . >build/check.log
	cd '$(TEMPLATE)' && $(abspath $(RUN)) ruff format --no-cache --check --config ../$(CHECKED)/pyproject.toml .
