# The interpreter that builds .venv; any Python 3.11 or newer.
PYTHON ?= python3
# TensorFlow build: `cpu` is small; `make setup BACKEND=tensorflow` installs the one for GPUs.
BACKEND ?= cpu
DEMO_DIR ?= runs/demo
DEMO_VIDEO_DIR ?= runs/video
# Versions known to work together; empty for the newest of everything.
CONSTRAINTS ?= constraints.txt

.PHONY: setup demo demo-video test test-all lint format oracle clean

setup: .venv/installed

.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) \
		--editable '.[$(BACKEND),parquet,report,test,lint]'
	touch $@

demo: setup
	.venv/bin/yt8m-demo --output_dir=$(DEMO_DIR)

demo-video: setup
	.venv/bin/yt8m-demo-video --output_dir=$(DEMO_VIDEO_DIR)

test: setup
	.venv/bin/python -m pytest

test-all: setup
	.venv/bin/python -m pytest -m "slow or not slow"

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# Golden steps of tensorflow-addons, in an environment of its own; needs Python 3.11.
oracle:
	$(PYTHON) -m venv .oracle
	.oracle/bin/python -m pip install --quiet --requirement tests/oracle/requirements.txt
	.oracle/bin/python tests/oracle/make_golden.py

clean:
	rm -rf .venv .oracle build dist runs *.egg-info
