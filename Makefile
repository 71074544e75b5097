# Every target works on a bare machine with Python 3.11 to 3.14 and a network: it makes the virtual environment that
# it needs and installs into it. `make test` needs no PyTorch and gets none; `make parity` has its own environment.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && { echo $$p; break; }; done)
JOBS ?= 2
PIP = -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-python parity lint types docs bench bench-peers bench-record bench-compile record clean

help: ## what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

# --- environments: one stamp for each, remade when pyproject.toml changes ---

define environment
	@test -n "$(PYTHON)" || { echo "tenfold needs Python 3.11 to 3.14, and found none. Name one: make $@ PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1) || { rm -rf $(1); exit 1; }
	@echo "installing into $(1): $(2)"
	@$(1)/bin/python $(PIP) $(2)
	@touch $@
endef

.venv/test.stamp: pyproject.toml
	$(call environment,.venv,-e '.[dev]')

.venv/demo.stamp: pyproject.toml
	$(call environment,.venv,-e '.[demo]')

.venv/docs.stamp: pyproject.toml
	$(call environment,.venv,-e '.[docs]')

.venv-parity/stamp: pyproject.toml
	$(call environment,.venv-parity,-e '.[dev$(comma)parity$(comma)bench]')

.venv-peers/stamp: pyproject.toml
	$(call environment,.venv-peers,-e . torch==2.13.0 jax tinygrad)

.venv-lint/stamp: pyproject.toml
	$(call environment,.venv-lint,'ruff==0.17.*')

.venv-types/stamp: pyproject.toml
	$(call environment,.venv-types,-e '.[types]')

comma := ,

# --- what a person asks for ---

demo: .venv/demo.stamp ## train on the language task and write out/demo/
	.venv/bin/python -m examples.place_names

test: .venv/test.stamp ## the whole test suite, without PyTorch
	.venv/bin/python -m pytest -q -n $(JOBS) --dist worksteal --ignore=tests/parity $(PYTEST)

test-python: .venv/test.stamp ## the same with the recorder in plain Python, which is what its machine code is measured by
	TENFOLD_NATIVE=0 .venv/bin/python -m pytest -q -n $(JOBS) --dist worksteal --ignore=tests/parity $(PYTEST)

parity: .venv-parity/stamp ## compare with PyTorch 2.13 itself, and write docs/parity.md
	.venv-parity/bin/python tests/parity/run.py --jobs $(JOBS)

lint: .venv-lint/stamp ## ruff: mistakes and format
	.venv-lint/bin/ruff check .
	.venv-lint/bin/ruff format --check .

types: .venv-types/stamp ## pyright over src/tenfold
	.venv-types/bin/pyright

docs: .venv/docs.stamp ## the course as pages in out/docs/, and the list of design notes
	.venv/bin/python docs/design/make_index.py
	.venv/bin/python docs/tutorial/render.py

bench-record: .venv-parity/stamp ## Python time of recording, interleaved with PyTorch
	.venv-parity/bin/python benchmarks/bench_record.py

bench-compile: .venv/demo.stamp ## what torch.compile saves in tenfold: calls replayed, and not
	.venv/bin/python benchmarks/bench_compile.py

bench: .venv-parity/stamp ## ordinary programs, interleaved with PyTorch; writes docs/benchmarks.md
	.venv-parity/bin/python benchmarks/bench.py $(BENCH)

bench-peers: .venv-peers/stamp ## three of them under JAX and tinygrad (which needs clang); `make bench` then shows them
	.venv-peers/bin/python benchmarks/peers.py

record: .venv-parity/stamp ## PyTorch's results for the random programs that `make test` replays
	.venv-parity/bin/python tests/differential/record.py

clean: ## remove environments and outputs
	rm -rf .venv .venv-parity .venv-peers .venv-lint .venv-types out build dist .pytest_cache .ruff_cache .hypothesis
