# make setup | demo | stop | test | faults | check | bench. Needs python3 (3.11 to 3.13), python3-venv and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/ready
export LEISHU_HOME ?= $(CURDIR)/demo
RECORDS ?= 10000
ROWS ?= 1000000
JOBS ?= 2

.PHONY: help setup constraints demo stop test faults check format docs bench

help:
	@echo 'make setup    装好 .venv                       make .venv ready'
	echo 'make demo     启动并演示 (RECORDS=10000)       start everything and show it'
	echo 'make stop     停止演示的全部进程               stop what the demonstration started'
	echo 'make test     测试 (JOBS=2)                    the tests, two files at a time'
	echo 'make faults   故障满剂量 (F=F12 只做一种)        every fault in its full dose'
	echo 'make check    ruff, mypy, import-linter        style, types, layers'
	echo 'make docs     重新生成参考文档                 make the generated reference anew'
	echo 'make bench    性能 (ROWS=1000000)              measure'

setup: $(STAMP)

# uv where it can be had, else pip. Compiled once here, for every start of Airflow costs seconds otherwise.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
	  echo "需要 Python 3.11 至 3.13 / Python 3.11 to 3.13 is needed: make setup PYTHON=python3.12" >&2; exit 2; }
	if ! $(BIN)/python -c 'import sys' 2>/dev/null; then
	  $(PYTHON) -m venv --clear $(VENV) || {
	    echo "缺少 venv 模块 / the venv module is missing: apt-get install python3-venv" >&2; exit 2; }
	fi
	echo '安装依赖 / installing …'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	if [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv; then
	  $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	else
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	fi
	echo '预编译 / byte-compiling …'
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib catalog connectors mappings quality exchange >/dev/null 2>&1 || true
	touch $@
	echo '就绪 / ready'

# One file for 3.11 to 3.13; no address of a registry in it. Pins stay as they are: UPGRADE=1 moves them.
constraints:
	@cp constraints.txt constraints.new
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header $(if $(UPGRADE),--upgrade) --extra dev pyproject.toml -o constraints.new
	if grep -nE '://|^-' constraints.new; then exit 1; fi
	mv constraints.new constraints.txt

demo: setup
	@$(BIN)/python -m demo --records $(RECORDS)

stop: setup
	@$(BIN)/python -m demo --stop

test: setup
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder

# Three quarters of an hour for all of them; what was survived has its rows in docs/reference/faults.md.
faults: setup
	@$(BIN)/python -m tests.faults $(F)

check: setup
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is made from the code: schemas of --json, the contracts' reference, the declarations' schemas.
docs: setup
	@$(BIN)/python -m exchange.cli.schemas
	$(BIN)/python -m exchange.cli.reference

bench: setup
	@$(BIN)/python -m benchmarks --rows $(ROWS)
