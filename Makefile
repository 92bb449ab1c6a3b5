# One door to everything: `make help` lists the targets, and CI runs no others.
#
# Needs python3 >= 3.11 with venv, g++ and make. cmake, ninja and all the rest come from PyPI into .venv.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV   ?= .venv
ORACLE ?= .venv-oracle
BUILD  ?= build/dev
ARGS   ?=
# Processes that run the tests; a file's tests stay in one of them, so that its fixtures are made once.
JOBS   ?= 2
SHARED = $(if $(filter-out 0 1,$(JOBS)),-n $(JOBS) --dist loadfile)
RUNS   ?= 100000
# Under the thread sanitizer everything takes ten times as long; threads that write to one memory are what nonsense asks for.
THREADED = tests/native --deselect tests/native/test_nonsense.py tests/core/test_threads.py tests/core/test_threads_dispatch.py
MODEL  ?= smollm2-135m
PROMPT ?= Name the capital of France.

BIN  := $(VENV)/bin
PY   := $(BIN)/python
OPY  := $(ORACLE)/bin/python
say   = @printf '\033[1m· %s\033[0m\n' "$(1)"
PIP_QUIET = PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off
CXX_FILES = $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.c' -o -name '*.cu')
# Markers of the tests that compare with a large reference; `make oracle` runs them.
ORACLE_TESTS = needs_torch or needs_formats or needs_llama_cpp or needs_browser

.PHONY: help demo test oracle oracle-llama browser build capi runtime lint format types docs bench programs golden families fuzz wheel isas sanitize sanitize-threads lowered qemu nightly time-build clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- what runs -------------------------------------------------------------------------------------------------------
demo: build ## build, fetch smollm2-135m, and let it answer a question
	@$(BIN)/tallow chat $(MODEL) --prompt "$(PROMPT)"

build: $(VENV)/.run ## compile what has changed into src/tallow
	@TARGETS=_native tools/build.sh $(PY) $(BUILD)

test: build $(VENV)/.dev capi ## every test that needs no large reference library
	$(call say,tests)
	@$(PY) -m pytest $(SHARED) -m "not ($(ORACLE_TESTS))" $(ARGS)

oracle: build $(ORACLE)/.done ## the tests that compare with torch and transformers
	$(call say,oracle tests)
	@$(OPY) -m pytest $(SHARED) -m "needs_torch or needs_formats" $(ARGS)

oracle-llama: build $(ORACLE)/.llama ## the tests that compare with llama-cpp-python (compiles it: ten minutes)
	$(call say,llama.cpp oracle tests)
	@$(OPY) -m pytest -m "needs_llama_cpp" $(ARGS)

browser: build $(ORACLE)/.browser ## the tests of pages in Chromium, with screenshots in build/screenshots (a minute; three with the installation)
	$(call say,browser tests)
	@$(OPY) -m pytest -m needs_browser tests/serve $(ARGS)

capi: build ## the C library and its test, from the same objects
	@tools/build.sh $(PY) $(BUILD)
	@for program in tallow_ctest tallow_pooltest_futex tallow_pooltest_portable; do \
	  if [ -x $(BUILD)/$$program ]; then $(BUILD)/$$program || exit 1; fi; done

runtime: $(VENV)/.run ## what runs saved plans without Python, in build/runtime
	@TARGETS="$(or $(TARGETS),all)" tools/build.sh $(PY) build/runtime -DTALLOW_RUNTIME=ON -DTALLOW_PYTHON=OFF

isas: build $(VENV)/.dev ## the tests of kernels on each instruction set that this CPU runs
	@for isa in $$($(PY) -c "from tallow import _native; print(*_native.ISAS)"); do \
	  printf '\033[1m· kernels of %s\033[0m\n' $$isa; \
	  TALLOW_ISA=$$isa $(PY) -m pytest -q -m "not ($(ORACLE_TESTS))" $(or $(ARGS),tests/native) || exit 1; done

sanitize: $(VENV)/.dev ## the tests again, under sanitizers: SANITIZER=address,undefined or thread
	$(call say,tests under sanitizers)
	@SANITIZER=$(SANITIZER) tools/sanitize.sh $(PY) build/sanitize \
	  -m "not ($(ORACLE_TESTS) or needs_model or plain_memory or slow)" $(ARGS)

sanitize-threads: ## what uses threads, and the kernels, under the thread sanitizer
	@$(MAKE) sanitize SANITIZER=thread ARGS="$(or $(ARGS),$(THREADED))"

lowered: $(VENV)/.dev ## the tests of kernels on what is written for AVX-512, compiled for any CPU
	$(call say,AVX-512 kernels in narrower vectors)
	@tools/lowered.sh $(PY) build/lowered -m "not ($(ORACLE_TESTS))" $(or $(ARGS),tests/native)

qemu: build $(VENV)/.dev ## the tests of kernels on an aarch64 build with NEON, under qemu-user
	$(call say,aarch64 under qemu)
	@tools/qemu_aarch64.sh $(PY) build/aarch64 -m "not ($(ORACLE_TESTS))" $(or $(ARGS),tests/native)

fuzz: build $(VENV)/.fuzz ## every reader of files under atheris, tokenizer tables under sanitizers: RUNS=100000 inputs each, FORMATS="gguf npy" or all
	$(call say,fuzz)
	@$(PY) tools/fuzz.py $(FORMATS) --runs $(RUNS) $(ARGS)
	@$(if $(FORMATS),,TALLOW_FUZZ_RUNS="$(RUNS) $$RANDOM" $(PY) -m pytest -q tests/text/test_hostile_tables.py)

nightly: ## what .ci/run leaves out: sanitizers, other instruction sets, fuzzers, the llama.cpp oracle (an hour)
	@said= bad=0; for target in sanitize sanitize-threads isas lowered fuzz oracle-llama; do \
	  start=$$SECONDS result=passed; $(MAKE) $$target || { result=FAILED; bad=1; }; \
	  said="$$said$$target: $$result, $$((SECONDS - start)) s\n"; \
	done; printf "\n$$said"; exit $$bad

# --- what checks -----------------------------------------------------------------------------------------------------
lint: $(VENV)/.dev ## ruff, clang-format, import rules
	$(call say,lint)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "make format would change these files:"; $(BIN)/ruff format --check .; exit 1; }
	@$(if $(CXX_FILES),$(BIN)/clang-format --dry-run -Werror $(CXX_FILES))
	@mkdir -p build; $(BIN)/lint-imports --no-cache > build/imports.txt || { cat build/imports.txt; exit 1; }
	@echo "ruff, clang-format and import rules: clean"

format: $(VENV)/.dev ## rewrite every file the way lint wants it
	@$(BIN)/ruff check --quiet --fix-only . ; $(BIN)/ruff format .
	@$(if $(CXX_FILES),$(BIN)/clang-format -i $(CXX_FILES))

types: $(VENV)/.dev ## mypy --strict on src
	$(call say,types)
	@$(BIN)/mypy

docs: build $(VENV)/.dev ## run the code of the guide and README, check every link
	$(call say,docs)
	@$(PY) tools/run_docs.py $(ARGS)

bench: build $(ORACLE)/.done ## the benchmarks that there are peers for, into docs/benchmarks.md; or BENCH=bench/overhead.py alone
	@$(if $(BENCH),for file in $(BENCH); do \
	  printf '\033[1m· %s\033[0m\n' $$file; $(OPY) $$file $(ARGS) || exit 1; done,$(PY) tools/bench_suite.py $(ARGS))

programs: build $(ORACLE)/.done ## public PyTorch programs of SOURCES=folder, by torch and by Tallow: docs/programs.md
	$(call say,programs)
	@test -n "$(SOURCES)" || { echo "make programs SOURCES=folder: see tools/programs.toml"; exit 1; }
	@$(PY) tools/programs.py $(SOURCES) --document $(ARGS)

golden: build $(ORACLE)/.golden ## goldens of model families by transformers: FAMILY="bert resnet", or all
	$(call say,goldens)
	@PYTHONPATH=tests/golden $(OPY) tests/golden/make_families.py $(FAMILY)

families: build $(VENV)/.dev ## every check of every family again, and the table of them in docs/reference/families.md
	$(call say,families)
	@$(PY) -m pytest -q tests/models/test_golden.py --junitxml=build/families.xml || true
	@$(PY) tools/families.py build/families.xml

time-build: $(VENV)/.run ## how long a clean build takes, and a rebuild after one kernel changed
	@tools/time_build.sh $(PY)

# --- what is shipped -------------------------------------------------------------------------------------------------
wheel: $(VENV)/.dev ## a manylinux wheel in dist/, tried in a fresh environment without a compiler
	$(call say,wheel)
	@tools/wheel.sh $(PYTHON) $(VENV) $(MODEL)

# --- environments; each stamp is written last, so that an interrupted step is repeated -----------------------------------
define make_venv
	$(call say,new environment $(1))
	@$(PYTHON) tools/preflight.py
	@rm -rf $(1) && $(PYTHON) -m venv $(1)
endef
install = $(PIP_QUIET) $(1) -m pip install --quiet --quiet -r <($(1) tools/requirements.py $(2))

$(VENV)/.made:
	$(call make_venv,$(VENV))
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml tools/requirements.py tools/link.py
	$(call say,build and run dependencies from PyPI)
	@$(call install,$(PY),build run all)
	@$(PY) tools/link.py
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(call say,development tools from PyPI)
	@$(call install,$(PY),dev)
	@touch $@

$(VENV)/.fuzz: $(VENV)/.run
	$(call say,atheris from PyPI)
	@$(call install,$(PY),fuzz)
	@touch $@

$(ORACLE)/.made:
	$(call make_venv,$(ORACLE))
	@touch $@

$(ORACLE)/.done: $(ORACLE)/.made pyproject.toml tools/requirements.py tools/link.py
	$(call say,torch and transformers (large))
	@$(call install,$(OPY),run all oracle formats)
	@$(OPY) tools/link.py
	@touch $@

$(ORACLE)/.browser: $(ORACLE)/.done
	$(call say,Chromium and its driver)
	@command -v chromium > /dev/null || { \
	  root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	  $$root apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $$root apt-get install -qq -y --no-install-recommends chromium > /dev/null; }
	@$(call install,$(OPY),browser)
	@touch $@

$(ORACLE)/.golden: $(ORACLE)/.done
	$(call say,timm and torchvision from PyPI)
	@$(call install,$(OPY),golden)
	@touch $@

$(ORACLE)/.llama: $(ORACLE)/.done
	$(call say,compiling llama-cpp-python)
	@$(call install,$(OPY),oracle-llama)
	@touch $@

clean: ## remove what was built (environments stay)
	@rm -rf build dist src/tallow/_native*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## and the environments
	@rm -rf $(VENV) $(ORACLE)
