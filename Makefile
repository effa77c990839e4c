# SPDX-License-Identifier: Apache-2.0
# A short front for Meson. The two commands of a newcomer are `make demo` and `make test`.
#
#	make            build build/clew (installs what building needs, if anything is missing)
#	make demo       a shop of five real programs, traced, explained
#	make test       all tests that this machine can do (root: capture and end to end too)
#	make check      the tests that need no root, in seconds
#	make check-all  all tests, then those that run our own C again under ASan, UBSan and leak detection (root, long)
#	make bench      the overhead benchmark (root, minutes)
#	make accuracy   the accuracy suite: every case at 1, 10, 50, 200 in flight (root, hours)
#	make peers      a real OpenTelemetry Collector, in and out; SDKs for Go and Java (root; Go, Maven, minutes)
#	make kernels    clew under Debian's kernels 6.1 and 6.12, in an emulator (downloads them and QEMU; minutes)
#	make fuzz       fuzz each parser for FUZZ_SECONDS (60)
#	make install    PREFIX=/usr/local, DESTDIR
#	make deps       only what `make`, `make demo` and `make test` need
#	make clean
#
# J=2 limits the build to two jobs; B=dir builds elsewhere; PAGE=no leaves the web page out.

SHELL := /bin/bash
B ?= build
J ?=
PAGE ?= yes
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60

PY := /usr/bin/python3
NINJA = ninja -C $(B) $(if $(J),-j$(J))
export CLEW_BUILD = $(B)
export CLEW_LOG_DIR = $(B)/logs
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := all
.PHONY: all build deps deps-build demo test check check-all bench accuracy peers kernels fuzz install clean

all: build

deps:
	@tools/setup build demo test

deps-build:
	@tools/setup build

build: deps-build
	@[ "$(PAGE)" = no ] || tools/step "the page" $(B)/logs/page.log tools/build-ui
	@tools/step "configure" $(B)/logs/configure.log tools/configure $(B) --prefix=$(PREFIX)
	@tools/step --live "build" $(B)/logs/build.log $(NINJA)

demo:
	@tools/setup build demo
	@$(MAKE) --no-print-directory build
	@$(PY) demo/demo.py --clew $(B)/clew --out $(B)/demo

test:
	@tools/setup build demo test
	@$(MAKE) --no-print-directory build
	@$(PY) tools/run-tests --build $(B) all

check: build
	@$(PY) tools/run-tests --build $(B) check

# The second build is of its own: -O1 as it compiles in half the time, and without -Werror, as the sanitizers' checks make
# the compiler warn of code that is not there.
check-all:
	@tools/setup build demo test
	@$(MAKE) --no-print-directory build
	@tools/step "configure with sanitizers" $(B)/logs/asan-configure.log \
		tools/configure $(B)/asan -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dwerror=false
	@tools/step --live "build with sanitizers" $(B)/logs/asan-build.log \
		ninja -C $(B)/asan $(if $(J),-j$(J))
	@rc=0; $(PY) tools/run-tests --build $(B) all || rc=1; \
		echo 'again, with sanitizers:'; \
		$(PY) tools/run-tests --build $(B)/asan --sanitized sanitized || rc=1; exit $$rc

bench: build
	@tools/setup build demo test
	@$(PY) tools/run-tests --build $(B) bench

accuracy: build
	@tools/setup build demo test accuracy
	@$(PY) tools/run-tests --build $(B) accuracy-full

peers: build
	@tools/setup build demo test accuracy
	@$(PY) -m pytest -q -p no:cacheprovider tests/peers

kernels: build
	@tools/setup build demo test kernels
	@$(PY) -m pytest -q -s -p no:cacheprovider tests/kernels

fuzz: build
	@$(PY) tools/run-tests --build $(B) --seconds $(FUZZ_SECONDS) fuzz-long

install: build
	@meson configure $(B) -Dprefix=$(PREFIX) && $(NINJA) >/dev/null && \
		meson install -C $(B) --no-rebuild --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@echo "installed into $(DESTDIR)$(PREFIX)"

clean:
	rm -rf $(B)
