# Every target is one command that also runs by hand; what a target needs, it makes first.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
bin := .venv/bin
# For slow tests, which mostly wait: some files at a time.
waiting := --dist loadfile --numprocesses
pytest := $(bin)/pytest --durations=25
# The same, and which lines and branches of our packages ran; tools/coverage adds it up.
covered = mkdir -p .coverage_data && rm -f .coverage_data/$(1).* && \
	COVERAGE_FILE=$(CURDIR)/.coverage_data/$(1) $(bin)/coverage run -m pytest --durations=25

##@ Start here

demo: setup ## Bring up a cluster, install Chatfleet and stream an answer from it.
	@tools/demo

demo-resume: setup ## Kill the pod that writes an answer, in mid-sentence: its client gets every word.
	@tools/demo-resume

demo-autoscale: setup ## Raise and lower the load, watch pods come and go, and get a picture of it; six minutes.
	@tools/demo-autoscale

run: setup ## Serve the API on this machine with the scripted provider, without any cluster.
	@$(bin)/python -m chatfleet_api

##@ Change the code

fmt: setup ## Format the Python code and mend what the linter can mend.
	@$(bin)/ruff check --quiet --fix-only . && $(bin)/ruff format .

lint: setup ## Check style, formatting and who may import whom.
	@$(bin)/ruff check . && $(bin)/ruff format --check . && $(bin)/lint-imports --no-logo

types: setup ## Check the types of code and tests.
	@$(bin)/mypy

crds: setup ## Regenerate crds/, docs/reference/ and the chart's RBAC rules from models, values and code.
	@$(bin)/python -m chatfleet_contract.crd && $(bin)/python tools/values.py && $(bin)/python tools/operator_rules.py

requirements: setup ## Resolve the dependencies anew and pin them by hash; with UPGRADE=1 to their newest releases.
	@tools/requirements $(if $(UPGRADE),--upgrade)

setup: ## Install what all this needs; every target does this first, and it does nothing when done.
	@tools/setup

##@ Test

test: setup ## Run all checks and tests below, side by side where they only wait, until one fails.
	@$(bin)/python tools/test.py

test-unit: setup ## Test single parts: no network, no clock, no cluster.
	@$(call covered,unit) tests/unit

test-contract: setup ## Test the promises between the parts, with a real Redis.
	@$(call covered,contract) tests/contract $(waiting) 3

test-chaos: setup ## Hurt pods, upstreams and Redis, a little of everything, and see each promise kept.
	@$(pytest) tests/lab/chaos

chaos: setup ## The same at length, about half an hour; writes docs/measurements/reliability.md.
	@$(bin)/python -m chatfleet_lab.chaos --json docs/measurements/reliability.json --page docs/measurements/reliability.md

chaos-node: setup ## What pods do, on a real node instead of with processes; needs root; adds to docs/measurements/reliability.md.
	@$(bin)/python -m chatfleet_lab.chaos --on node --json docs/measurements/reliability.json --page docs/measurements/reliability.md

chaos-scale: setup ## Twenty scale-downs, rollouts and evictions under open streams; needs root; writes docs/measurements/scaling.json.
	@$(bin)/python -m chatfleet_lab.scale endure --json docs/measurements/scaling.json

simulate-scale: setup ## The real autoscaler under half an hour of simulated load; seven minutes; writes docs/measurements/scaling-simulated.json.
	@$(bin)/python -m chatfleet_lab.scale simulate --json docs/measurements/scaling-simulated.json

test-cluster: setup ## Test against a real kube-apiserver and etcd.
	@$(pytest) tests/cluster tests/lab/scale $(waiting) 3

test-cluster-tool: setup ## Test the local cluster itself; needs root.
	@$(pytest) tests/cluster_tool

e2e: setup ## Test the whole on a real node; needs root, or CLUSTER=current for the cluster of your kubeconfig.
	@$(pytest) tests/e2e

test-prometheus: setup ## Test scaling with the real KEDA and prometheus-adapter, built from source; needs root and prometheus.
	@$(pytest) tests/prometheus

bench: setup ## Measure the API beside its peers and write docs/measurements/benchmarks.md; about a quarter of an hour.
	@$(bin)/python -m chatfleet_lab.bench

test-bench: setup ## Test the benchmark itself, and that every subject streams all its tokens.
	@$(pytest) tests/lab/bench

docs: setup ## Check links, paths and examples of the documents, and the words of all messages.
	@$(bin)/pytest tests/unit/test_documents.py tests/unit/test_messages.py

coverage: setup ## Print how much of our packages test-unit and test-contract ran, lines and branches.
	@tools/coverage

changelog: setup ## Show the changes that are not released yet, as the next release will list them.
	@$(bin)/towncrier build --draft --version Unreleased

##@ Local cluster

cluster-up: setup ## Start a real one-node Kubernetes on this machine; needs root.
	@$(bin)/chatfleet-cluster up

cluster-down: setup ## Stop it and remove every trace of it.
	@$(bin)/chatfleet-cluster down

images: setup ## Build the two container images.
	@tools/images/build

help: ## Print this list.
	@awk -F':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))
