# Every target is one command that also runs by hand; what a target needs, it makes first.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
bin := .venv/bin
# Without its cache of bytecode pytest compiles each module of tests anew in each of its workers.
unexport PYTHONDONTWRITEBYTECODE
# For slow tests, which mostly wait: some files at a time, in the order of tests/harness/slowest_first.py.
waiting := --dist loadfile --no-loadscope-reorder --numprocesses
reliability := --json docs/measurements/reliability.json --page docs/measurements/reliability.md
# hypothesis, which only unit tests use, would be imported for its line in the summary.
pytest := $(bin)/pytest -p no:hypothesispytest --durations=25
# The same, and which lines and branches of our packages ran; tools/coverage.py prints it.
# SlipCover imports the packages before pytest would rewrite their assertions: they have none. It keeps its probes, as
# taking them out of code that ran costs more than they do.
covered := $(bin)/python -m slipcover --threshold 1000000000 --json --out .coverage.json \
	-m pytest -W 'ignore:Module already imported' --durations=25

##@ Start here

demo: setup ## Bring up a cluster, install Chatfleet and stream an answer from it.
	@tools/demo

demo-resume: setup ## Kill the pod that writes an answer; the client resumes without loss.
	@tools/demo-resume

demo-agents: setup ## Ask a support desk of agents: routing, citations and a tool call, with no upstream.
	@tools/demo-agents

demo-autoscale: setup ## Raise and lower the load, and draw how the pods follow it; six minutes.
	@tools/demo-autoscale

run: setup ## Serve the API on this machine with the scripted provider, without any cluster.
	@$(bin)/python -m chatfleet_api

##@ Change the code

fmt: setup ## Format the code and apply the linter's fixes.
	@$(bin)/ruff check --quiet --fix-only . && $(bin)/ruff format .

lint: setup ## Check style, formatting and the import rules.
	@$(bin)/ruff check . && $(bin)/ruff format --check . && $(bin)/lint-imports --no-logo

types: setup ## Check the types of code and tests.
	@$(bin)/mypy

crds: setup ## Regenerate crds/, docs/reference/ and the chart's RBAC rules from models, values and code.
	@$(bin)/python -m chatfleet_contract.crd && $(bin)/python tools/values.py && $(bin)/python tools/operator_rules.py
	@$(bin)/python tools/wrong_specs.py

conformance: setup ## Write what becomes of each property of the vendors' APIs, and when models shut down, by the SDKs.
	@PYTHONPATH=tests $(bin)/python tools/shutdown_dates.py && PYTHONPATH=tests $(bin)/python tools/conformance.py

features: setup ## Write docs/reference/features.md: where each feature is, and the tests that prove it.
	@$(bin)/python tools/features.py

prices: setup ## Write the price list of the pods from the pinned release of genai-prices.
	@$(bin)/python tools/prices.py

requirements: setup ## Resolve the dependencies anew and pin them by hash; with UPGRADE=1 to their newest releases.
	@tools/requirements $(if $(UPGRADE),--upgrade)

setup: ## Install the development environment; does nothing when it is up to date.
	@tools/setup

##@ Test

test: setup ## Run all checks and tests below, until one fails.
	@$(bin)/python tools/test.py

test-unit: setup ## Test single parts: no network, no clock, no cluster.
	@$(covered) tests/unit

test-contract: setup ## Test the promises between the parts, with a real Redis.
	@$(pytest) tests/contract -m 'not timed' $(waiting) 6

test-timed: setup ## Test promises that name a time, and measure; run it with nothing else running.
	@$(pytest) $$(grep -rl --include='test_*.py' 'mark\.timed' tests | sort) -m timed  # not to import all others

test-chaos: setup ## Run the short form of every chaos scenario.
	@$(pytest) tests/lab/chaos --numprocesses 2

chaos: setup ## Run the full form; half an hour; writes docs/measurements/reliability.md.
	@$(bin)/python -m chatfleet_lab.chaos $(reliability)

chaos-node: setup ## Run the scenarios of pods and the fault matrix on a node; needs root; adds to the same page.
	@$(bin)/python -m chatfleet_lab.chaos --on node $(reliability)
	@$(bin)/python -m chatfleet_lab.faults --folder docs/measurements

chaos-scale: setup ## Scale down, roll out and evict under open streams; needs root; adds to the same page.
	@$(bin)/python -m chatfleet_lab.scale endure --json docs/measurements/scaling.json

simulate-scale: setup ## Run the real autoscaler under simulated load; seven minutes; adds to the same page.
	@$(bin)/python -m chatfleet_lab.scale simulate --json docs/measurements/scaling-simulated.json

test-cluster: setup ## Test against a real kube-apiserver and etcd.
	@$(pytest) tests/cluster tests/lab/scale -m 'not timed' $(waiting) 4

test-cluster-tool: setup ## Test the local cluster itself; needs root.
	@$(pytest) tests/cluster_tool

e2e: setup ## Test the whole on a real node; needs root, or CLUSTER=current for your kubeconfig's cluster.
	@$(pytest) tests/e2e $(waiting) $(if $(filter current,$(CLUSTER)),1,2)

test-prometheus: setup ## Test scaling with the real KEDA and prometheus-adapter; needs root and prometheus.
	@$(pytest) tests/prometheus

test-clients: setup ## Test agents, libraries and SDKs against pods; half an hour, 4 GB.
	@tools/setup tools/apt-packages-clients.txt && $(pytest) tests/clients

bench: setup ## Measure the API beside its peers; 15 minutes; writes docs/measurements/benchmarks.md.
	@$(bin)/python -m chatfleet_lab.bench

test-bench: setup ## Test the benchmark, and that every subject streams all its tokens.
	@$(pytest) tests/lab/bench -m 'not timed'

sdk-drift: setup ## Print what the newest SDKs of OpenAI and Anthropic have that the pinned ones do not.
	@$(bin)/python tools/sdk_drift.py

docs: setup ## Check links, paths and examples of the documents, and the words of all messages.
	@$(bin)/pytest tests/unit/test_documents.py tests/unit/test_messages.py

coverage: setup ## Print the coverage of the last test-unit, lines and branches.
	@$(bin)/python tools/coverage.py

changelog: setup ## Print the unreleased changes, as the next release will list them.
	@$(bin)/towncrier build --draft --version Unreleased

##@ Local cluster

cluster-up: setup ## Start a real one-node Kubernetes on this machine; needs root.
	@$(bin)/chatfleet-cluster up

cluster-down: setup ## Stop the local cluster and remove its files.
	@$(bin)/chatfleet-cluster down

images: setup ## Build the two container images.
	@tools/images/build

help: ## Print this list.
	@awk -F':.*## ' '/^##@/ { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))
