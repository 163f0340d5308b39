# Every target sets up what it needs in .venv by itself, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= true

.PHONY: help demo test lint format bench rpc clean

help:
	@echo "make demo    train, refresh and serve on this machine (DEMO_ARGS=--exit ends after the report)"
	@echo "make test    run the tests"
	@echo "make lint    ruff, mypy, import rules, protos, drift of generated code"
	@echo "make bench   measure every claim against its peer, results in benchmarks/results/"
	@echo "make rpc     regenerate ance/runtime/rpc from protos/"

demo: $(VENV)/.demo
	$(BIN)/ance demo $(DEMO_ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/python tools/generate_rpc.py --check

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

rpc: $(VENV)/.dev
	$(BIN)/python tools/generate_rpc.py

clean:
	rm -rf $(VENV) demo build *.egg-info

$(VENV)/bin/python:
	@echo "creating the virtual environment $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing packages into $(VENV) (a few minutes the first time)"
	$(PIP_INSTALL) --editable '.[cpu,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "installing the development packages into $(VENV)"
	$(PIP_INSTALL) --editable '.[cpu,demo,dev]'
	@touch $@
