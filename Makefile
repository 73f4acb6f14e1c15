# Two commands for a newcomer: `make demo` and `make test`. Both set everything up in .venv first.
PYTHON ?= python3
# The torch to install. Without a GPU, the CPU build saves gigabytes; see "Install" in README.md.
TORCH ?= torch==2.13.0
# Tests run in this many processes of one thread each.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
NATIVE := $(shell $(BIN)/python -c "import sysconfig; print(sysconfig.get_path('platlib'))" 2>/dev/null)

.PHONY: demo test setup check native format clean

demo: setup
	$(BIN)/worldloom demo --out out/demo --force

test: setup check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

setup: $(VENV)/.ready

# Repeated when the build recipe or the native code changes; Python edits need no rebuild (editable install).
$(VENV)/.ready: pyproject.toml CMakeLists.txt $(wildcard worldloom/*/csrc/*)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q "$(TORCH)"
	$(BIN)/python -m pip install -q "scikit-build-core>=0.11" "nanobind>=2.4" "cmake>=3.26" "ninja>=1.11"
	$(BIN)/python -m pip install -q --no-build-isolation -e ".[dev]"
	touch $@

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Rebuild the native modules in place, for work on the C++.
native:
	$(BIN)/cmake -S . -B build/dev -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$(abspath $(BIN)/python) >/dev/null
	$(BIN)/cmake --build build/dev
	$(BIN)/cmake --install build/dev --prefix $(NATIVE) >/dev/null

clean:
	rm -rf build dist out .venv
