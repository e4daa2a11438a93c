# `make` lists what it can do. It needs Python 3.11 or newer, make and git; everything else is fetched into this folder.
.DEFAULT_GOAL := help
.PHONY: help requirements setup demo test test-postgres test-coverage test-more check fix trees screenshots bench performance clean

PYTHON ?= python3
PORT ?= 8000
TEMPLATE := {{cookiecutter.project_slug}}
RUFF := $(CURDIR)/.venv/bin/ruff
# The rendered project's rules, for its sources where they stand; no cache may lie there, for a bake would copy it.
RENDERED_RULES := --no-cache --config $(CURDIR)/build/rules/my-secure-api/pyproject.toml

# Named, and not `.`: ruff would read the pyproject.toml of the template, which is no TOML before it is rendered.
SOURCES := hooks scripts tests
RENDERED_SOURCES := app bench migrations tests

# uv is used where it is on PATH; otherwise it is fetched into .tools.
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := $(CURDIR)/.tools/bin/uv
endif
RUN := $(UV) run --no-sync

# A run of the tests starts some hundred processes: without bytecode each of them would compile whatever it imports.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

requirements:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "This needs Python 3.11 or newer as $(PYTHON). Install it, or run: make PYTHON=/path/to/python"; exit 1; }
	@command -v git >/dev/null || { echo "This needs git. Install it from https://git-scm.com/downloads"; exit 1; }

$(CURDIR)/.tools/bin/uv: | requirements
	@echo "Fetching uv into .tools …"
	@$(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv

setup: requirements $(filter $(CURDIR)/%,$(UV)) ## Install the tools into .venv
	@$(UV) sync --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"

demo: setup ## Render, install and serve the default project on 127.0.0.1:8000 (PORT=8001 for another port)
	@$(RUN) python scripts/demo.py --port $(PORT)

test: check ## Check everything, and run the tests of the template and of rendered projects
	$(RUN) pytest -n auto --dist worksteal -m "not rendered and not postgres and not coverage and not more"
	$(RUN) pytest -m rendered

test-postgres: setup ## Run the default project's tests that use the database on PostgreSQL, which is started for them
	$(RUN) pytest -m postgres

test-coverage: setup ## Measure how much of the default project's code its tests reach
	$(RUN) pytest -m coverage

test-more: setup ## Check a covering set of projects (2 hours), audit the default one, and run its tests on every further Python
	$(RUN) pytest -m more

check: setup build/rules ## Check format, lint and types; changes no file
	$(RUN) ruff format --check $(SOURCES)
	$(RUN) ruff check $(SOURCES)
	$(RUN) mypy
	cd '$(TEMPLATE)' && $(RUFF) format --check $(RENDERED_RULES) $(RENDERED_SOURCES)
	cd '$(TEMPLATE)' && $(RUFF) check $(RENDERED_RULES) $(RENDERED_SOURCES)

fix: setup build/rules ## Format, and fix what lint can fix
	$(RUN) ruff check --fix-only $(SOURCES)
	$(RUN) ruff format $(SOURCES)
	cd '$(TEMPLATE)' && $(RUFF) check --fix-only $(RENDERED_RULES) $(RENDERED_SOURCES)
	cd '$(TEMPLATE)' && $(RUFF) format $(RENDERED_RULES) $(RENDERED_SOURCES)

.PHONY: build/check build/rules
# The rules for the files of an option are in a project that has it.
build/rules: ANSWERS := identity_providers=yes telemetry=yes
build/check build/rules: setup
	@git clean -fdXq -- '$(TEMPLATE)'
	@mkdir -p build
	@$(RUN) cookiecutter --no-input -f --config-file scripts/cookiecutter.yaml -o $@ . $(ANSWERS) >$@.log

trees: setup ## Write the list of files, tests/tree.txt, anew
	@$(RUN) python -m scripts.trees >/dev/null

screenshots: setup ## Take the pictures of docs/images anew; needs Chromium
	@$(RUN) --with playwright --with pillow python scripts/screenshots.py

bench: setup ## Measure how long a project takes to render
	@$(RUN) python scripts/bench.py

performance: build/check ## Measure a rendered project (10 minutes, on a machine with nothing else to do); writes table and chart of its README
	@$(RUN) python scripts/performance.py

clean: ## Remove everything that these commands made
	@git clean -fdXq
