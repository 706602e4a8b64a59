# Every target makes its own virtual environment from the lock file.
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help demo test test-gpu lint resolve format docs screenshots bench bench-speed bench-gpu bench-compare parity lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: .venv/ready  ## simulate a scan of the tutorial's size, align it, draw the pictures
	$(BIN)/mumott-dask demo --output demo-output

# Threads of OpenMP that wait by spinning take the cores from the other processes; what tests of a file share is made
# once where they stay in one process, and only who has nothing left takes from the others.
test: .venv/ready  ## run the tests
	OMP_WAIT_POLICY=passive $(PYTEST) -n 3 --dist worksteal -m "not slow"

test-gpu: .venv-gpu/ready  ## run the tests that need a GPU, where there is one
	.venv-gpu/bin/python -m pytest -n 0 -m gpu

lint: .venv/ready  ## ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/ready  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready  ## build the documentation, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

screenshots: .venv/ready  ## photograph the dashboard's page and a report for the manual, by Debian's chromium
	$(BIN)/python docs/screenshots.py

BENCH := $(PYTEST) -s -n 0 -m "" -o python_files="bench_*.py"
SPEED := kernels projector mumott align start memory sizes engine campaign monitor

bench: .venv/ready  ## measure speed, memory and accuracy
	@mkdir -p bench-output
	$(BENCH) tests/benchmarks --benchmark-json bench-output/benchmarks.json

bench-speed: .venv/ready  ## measure speed and memory alone: docs/speed_table.md, bench-output/speed.json
	$(BENCH) $(SPEED:%=tests/benchmarks/bench_%.py)

bench-gpu: .venv-gpu/ready  ## measure a GPU: docs/gpu_assembly.md, docs/gpu_measured.md
	.venv-gpu/bin/python -m pytest -s -n 0 -m "" -o python_files="bench_*.py" tests/benchmarks/bench_gpu.py

bench-compare: .venv/ready  ## time the commit BEFORE (main) and AFTER (the working tree) in turns
	$(BIN)/python tests/benchmarks/compare.py $(or $(BEFORE),main) $(AFTER)

.venv-gpu/ready: .venv/ready
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	.venv-gpu/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[gpu]" nvidia-cuda-nvdisasm
	@touch $@

.venv-mumott/ready:
	$(PYTHON) -m venv .venv-mumott
	.venv-mumott/bin/python -m pip install --quiet "mumott==2.3" "matplotlib<3.9" "numpy<2.4"
	@touch $@

parity: .venv/ready .venv-mumott/ready  ## compare numbers and speed with mumott 2.3, in an environment of its own
	$(BIN)/python tests/parity .venv-mumott/bin/python

resolve: .venv/ready  ## see that the extras for GPUs can be installed beside the base
	for extra in gpu gpu-cuda12; do \
	  $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform linux --extra $$extra \
	    --constraint constraints.txt pyproject.toml --output-file /dev/null || exit 1; \
	done

lock: .venv/ready  ## resolve the lock file anew
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	  --no-header --no-emit-index-url --no-emit-find-links --extra docs --extra lint --extra test --constraint constraints.txt \
	  pyproject.toml --output-file requirements.lock

clean:  ## remove what the other targets made
	rm -rf .venv .venv-gpu .venv-mumott docs/_build docs/gallery demo-output bench-output .mypy_cache .ruff_cache .pytest_cache
