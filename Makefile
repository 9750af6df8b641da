# Voxroute. `make run` starts the gateway, `make test` runs every check; both set themselves up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.PHONY: run engine test ready bench pages torture simulate seeds observe format check clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Test files that run at once: most tests wait for a gateway rather than work.
AT_ONCE ?= 2
# torch is pinned in config/constraints.txt; TORCH_INDEX names an index of builds for a device.
TORCH := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
FRAME := pyproject.toml config/constraints.txt
NODE := tests/clients/node
BROWSER := tests/browser
VENDORS := .venv-vendors
PHOENIX := .venv-phoenix

run: $(VENV)/.installed
	$(BIN)/gateway serve

# What `make run` needs besides to speak with CSM: GATEWAY_ENGINE_MODEL=tiny-random make run
engine: $(VENV)/.engine

# In our order, which begins with the longest files; xdist's goes by how many tests a file has.
test:
	$(MAKE) --no-print-directory --jobs=2 ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=cover | tail -n 25

# What the tests need is fetched side by side: each of it is work for one core, or waiting.
ready: check $(NODE)/node_modules/.installed $(BROWSER)/node_modules/.installed $(VENDORS)/.installed

check: $(VENV)/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.tested
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.ledger
	$(BIN)/python -m tests.bench.wires
	$(BIN)/python -m tests.bench.lag
	$(BIN)/python -m tests.bench.metrics

# Every page of the dashboard over a million generations, on both databases. PAGES names a folder in
# which these (6 GB) stay for the next time; it is filled in some five minutes.
pages: $(VENV)/.tested
	$(BIN)/python -m tests.bench.pages $(if $(PAGES),--folder $(PAGES))

torture: $(VENV)/.tested
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing faketime"; apt-get update -qq && apt-get install -y -qq faketime >/dev/null; \
	  else echo "faketime is not here: its part will say so"; fi; }
	$(BIN)/python -m tests.torture

simulate: $(VENV)/.tested
	$(BIN)/python -m tests.simulation --seeds 10000

seeds: $(VENV)/.tested
	$(BIN)/python -m tests.seeds

# What is told to the outside: a real Prometheus runs every query of the Grafana board, and a real
# OTLP backend shows a fallback's trace.
observe: $(VENV)/.tested $(PHOENIX)/.installed
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing prometheus"; apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus >/dev/null; \
	  else echo "prometheus is not here: its part will say so"; fi; }
	$(BIN)/python -m tests.observability --phoenix $(PHOENIX)/bin/phoenix

clean:
	rm -rf $(VENV) $(VENDORS) $(PHOENIX) $(NODE)/node_modules $(BROWSER)/node_modules

# A virtual environment; where Debian has split ensurepip off, root gets it and others are told.
$(VENV)/bin/python:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 >= 3.11 is needed"; exit 1; }
	@python3 -m venv $(VENV) 2>/dev/null || { \
	  rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null; \
	    python3 -m venv $(VENV); \
	  else echo "python3 has no venv: run  sudo apt-get install python3-venv  and try again"; exit 1; fi; }

$(VENV)/.installed: $(VENV)/bin/python $(FRAME)
	@echo "installing the gateway and its embedded voice into $(VENV)"
	@$(PIP) install -c config/constraints.txt -e '.[espeak]'
	@touch $@

# The CSM engine. moshi's pins clash with transformers 5, but its codec runs beside it.
$(VENV)/.engine: $(VENV)/.installed
	@echo "installing the CSM engine into $(VENV)"
	@$(PIP) install $(TORCH) -c config/constraints.txt -e '.[engine]'
	@$(PIP) install --no-deps moshi==0.2.13
	@touch $@

# torch for a CPU comes without Triton, whose interpreter shows there that our kernels are right.
# torch for CUDA brings the version that it was made with, so there is no pin for all of them.
$(VENV)/.tested: $(VENV)/bin/python $(FRAME)
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) install $(TORCH) -c config/constraints.txt -e '.[test]'
	@$(PIP) install --no-deps moshi==0.2.13
	@$(BIN)/python -c 'import triton' 2>/dev/null || $(PIP) install --no-deps triton==3.6.0
	@touch $@ $(VENV)/.installed $(VENV)/.engine

# The vendors' SDKs show that our fakes of their servers are faithful; apart, for their pins clash.
$(VENDORS)/.installed: tests/vendors/requirements.txt $(VENV)/bin/python
	@echo "installing the vendors' SDKs into $(VENDORS)"
	@$(BIN)/python -m venv $(VENDORS)
	@$(VENDORS)/bin/python -m pip --disable-pip-version-check --quiet install -r tests/vendors/requirements.txt
	@touch $@

# An OTLP backend, 650 MB; apart, for its pins clash.
$(PHOENIX)/.installed: $(VENV)/bin/python
	@echo "installing arize-phoenix into $(PHOENIX)"
	@$(BIN)/python -m venv $(PHOENIX)
	@$(PHOENIX)/bin/python -m pip --disable-pip-version-check --quiet install arize-phoenix==20.26.1
	@touch $@

# The Node SDK is proven where node is; elsewhere its tests say that they were left out.
$(NODE)/node_modules/.installed: $(NODE)/package.json
	@mkdir -p $(NODE)/node_modules
	@if command -v npm >/dev/null; then echo "installing the Node SDK"; \
	  npm --prefix $(NODE) install --no-audit --no-fund --no-package-lock --silent; \
	else echo "npm is not here: the Node SDK's tests are left out"; fi
	@touch $@

# The dashboard is walked where Chromium is, and audited with axe; elsewhere its tests say that
# they were left out. Debian installs one thing at a time: python3-venv comes before.
$(BROWSER)/node_modules/.installed: $(BROWSER)/package.json | $(VENV)/bin/python
	@mkdir -p $(BROWSER)/node_modules
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium"; \
	    { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 || echo "chromium could not be installed"; \
	  else echo "chromium is not here: the dashboard's walks are left out"; fi; }
	@if command -v npm >/dev/null; then echo "installing axe-core"; \
	  npm --prefix $(BROWSER) install --no-audit --no-fund --no-package-lock --silent; \
	else echo "npm is not here: the dashboard's walks are left out"; fi
	@touch $@
