# `sudo make try` shows the hub, `sudo make test` runs every test; `make help` lists the rest.

PY = .venv/bin/python
# A machine's Python needs no packages, so `try` works with any Python from 3.10 on.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

# A file's tests share what is slow to make, so one process has them all.
PYTEST = $(PY) -m pytest -n auto --dist loadfile --durations=25

# Tests start hundreds of processes, which would compile our modules each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help try try-down test test-long dist lint unit check lock reference docs pictures

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

try: ## a throwaway hub on this computer (as root)
	@$(PYTHON) integration-tests/machine try

try-down: ## remove it
	@$(PYTHON) integration-tests/machine try-down

test: .venv/.made lint unit ## every test but the long ones, in at most half an hour (as root)
	$(PYTEST) -m "not long" integration-tests </dev/null

test-long: .venv/.made ## the exhaustive rest
	$(PY) -m pytest -m long tests integration-tests </dev/null

check: .venv/.made lint unit ## what needs no machine: lint and unit tests

unit: .venv/.made ## the unit tests
	$(PYTEST) -m "not long" tests </dev/null

lint: .venv/.made ## ruff, mypy and the import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

reference: .venv/.made ## docs/reference/configuration.md and the other pages that are made from tables
	$(PY) -m tljh.settings.reference docs/reference
	$(PY) -m tljh.hub.option_reference docs/reference
	$(PY) -m tljh.export.reference docs/reference

# Without --fresh-env Sphinx repeats no warning about a page that it has in its cache.
docs: .venv/.made ## the documentation as a site: build/docs/index.html
	@[ -x .venv/bin/sphinx-build ] || { echo "error: make docs needs Python 3.11 or newer" >&2; exit 1; }
	.venv/bin/sphinx-build -q -W --keep-going --nitpicky --fresh-env -c docs . build/docs
	@echo "open build/docs/index.html"

pictures: .venv/.made ## docs/images: the pages and the output of commands, from a real hub (as root)
	$(PY) integration-tests/pictures.py

dist: ## dist/bootstrap.py, which carries everything
	$(PYTHON) installer/build.py

# installer/hub.in tells what is left out, and why.
LOCK = uv pip compile -q --universal --generate-hashes --python-version 3.10 --no-emit-index-url \
    --no-annotate --no-header --upgrade --no-emit-package rfc3987-syntax --no-emit-package lark

lock: .venv/.made ## pin newer packages: installer/hub.lock and requirements-dev.txt
	cd installer && ../.venv/bin/$(LOCK) -o hub.lock hub.in
	.venv/bin/$(LOCK) -c installer/hub.lock -o requirements-dev.txt requirements-dev.in

.venv/.made: .ci/environment installer/hub.lock requirements-dev.txt pyproject.toml setup.cfg
	@.ci/environment
