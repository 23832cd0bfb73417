# The short commands of the project: `make` lists them.

STACK ?= dev
NAME ?=
ARGS ?=
TESTS ?=
PYTHON ?= python3
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock"
SLIPWAY = .venv/bin/slipway
# Of each path in TESTS, its folder in tests/.
LEVELS = $(sort $(foreach path,$(TESTS),$(word 2,$(subst /, ,$(path)))))

.DEFAULT_GOAL := help
.PHONY: help setup develop quiet-setup kubernetes edge up preview down status score logs test lint lock env clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{gsub(/[$$][$$]/, "$$", $$2); printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nSTACK=name chooses the stack (now: %s); ARGS="--refresh" and the like go to Pulumi.\n' '$(STACK)'

setup: ## Find or install everything that is needed
	@$(PYTHON) -m toolchain

develop: setup ## Install what the tests, the checks and the stand-ins of Azure and of devices need beside that
	@$(PYTHON) -m toolchain develop

quiet-setup:
	@$(PYTHON) -m toolchain > /dev/null

kubernetes: setup ## Start a Kubernetes cluster on this machine, for tests and for trying (root on Linux)
	@$(PYTHON) -m toolchain kubernetes

edge: develop ## Show a device of IoT Edge on this machine: a sensor, a model, a filter (docs/edge-modules.md)
	@$(PYTHON) -m toolchain edge
	@export SLIPWAY_AZURE=stand-in; trap 'exit 130' INT; trap '$(SLIPWAY) down --stack edge > .slipway/edge-down.log 2>&1 || cat .slipway/edge-down.log' EXIT; \
	set -e; $(SLIPWAY) up --stack edge > .slipway/edge-up.log 2>&1 || { cat .slipway/edge-up.log; exit 1; }; \
	$(SLIPWAY) keys --device line-4 --stack edge 2> /dev/null | .venv/bin/python -m standins.edge_runtime \
		--connection-string - --ca .slipway/azure/iot-hub/tls/ca.pem --show $(ARGS)

up: setup ## Set up, then build and deploy the models, and score their samples
	@$(SLIPWAY) up --stack $(STACK) -- $(ARGS)

preview: setup ## Show what `make up` would change
	@$(SLIPWAY) preview --stack $(STACK) -- $(ARGS)

down: ## Remove all that `make up` made, and stop the services that it started
	@if [ -x $(SLIPWAY) ]; then $(SLIPWAY) down --stack $(STACK); fi
	@$(PYTHON) -m toolchain stop

status: quiet-setup ## Show the models and their state
	@$(SLIPWAY) status --stack $(STACK)

score: quiet-setup ## Score the models' samples; NAME=iris for one
	@$(SLIPWAY) score --stack $(STACK) $(NAME)

logs: quiet-setup ## Print what the models printed; NAME=iris for one, ARGS=-f goes on
	@$(SLIPWAY) logs --stack $(STACK) $(NAME) $(ARGS)

test: develop $(if $(TESTS),,lint) ## Run the checks and all tests; TESTS=tests/unit for some tests alone
	@$(PYTHON) -m toolchain tests $(if $(filter 1,$(words $(LEVELS))),$(filter unit program engine system,$(LEVELS)))
	@.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(TESTS) $(if $(CI),--reruns 2 --durations 40)

lint: develop ## Check style, formatting and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

lock: ## Renew the locks of all dependencies (needs uv)
	@$(COMPILE) --upgrade --group dev -o requirements.dev.lock pyproject.toml
	@$(COMPILE) --upgrade --group build -c requirements.dev.lock -o requirements.lock pyproject.toml
	@$(COMPILE) --upgrade --no-annotate -o toolchain/go/requirements.lock toolchain/go/requirements.in
	@$(COMPILE) --upgrade --no-annotate --python-version 3.11 -o policies/requirements.lock policies/requirements.in
	@$(COMPILE) --upgrade --no-annotate --python-version 3.10 -o scoring/requirements.lock scoring/requirements.in
	@set -e; agree='-c scoring/requirements.lock'; for extra in collect telemetry entra batch edge; do \
		lock=scoring/requirements.$$extra.lock; \
		$(COMPILE) --upgrade --no-annotate --python-version 3.10 $$agree -o $$lock scoring/requirements.$$extra.in; \
		agree="$$agree -c $$lock"; \
	done

env: ## Print the environment for a shell: eval "$$(make -s env)"
	@$(PYTHON) -m toolchain env

clean: ## Remove what can be made again from the checkout: not the state, not the services
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
