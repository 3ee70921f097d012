# Two commands matter: `make serve` sets everything up and serves, `make test` runs every test.
# Both are safe to repeat, run as root or as a user with sudo, and build as whoever calls them.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
RUNNER := CARGO_TARGET_$(shell echo $(TARGET) | tr 'a-z-' 'A-Z_')_RUNNER
DEBUG := target/$(TARGET)/debug/quayside
RELEASE := target/$(TARGET)/release/quayside
SERVE_FLAGS ?=

# What the build and the service need of Debian, and what only the tests do.
PACKAGES := gcc libc6-dev e2fsprogs
TEST_PACKAGES := chromium firefox-esr fonts-dejavu-core strace procps psmisc iproute2 util-linux busybox-static cpio kmod patchelf openssl nginx-light caddy buildah podman skopeo umoci docker-registry

.PHONY: serve test bench tools packages test-packages web format lint unit lessons second-kernel browser

serve: tools packages web
	@echo "== building the service (the first time takes some minutes)"
	cargo build --release --locked -p quayside
	@echo "== serving; Ctrl-C ends it"
	$(SUDO) $(RELEASE) serve $(SERVE_FLAGS)

test: all-to-test tools packages test-packages web format lint unit lessons second-kernel browser
	@if [ -s $(NOT_TESTED) ]; then echo "== every test that ran has passed; not tested:"; sort -u $(NOT_TESTED); \
	else echo "== every test has passed"; fi

# A line for each thing that could not be tested here. Tests add theirs, as root; the file is whoever calls'.
NOT_TESTED := $(CURDIR)/target/not-tested
.PHONY: all-to-test
all-to-test:
	@mkdir -p $(CURDIR)/target && rm -f $(NOT_TESTED) && : >$(NOT_TESTED)

bench: tools packages web
	cargo build --release --locked -p quayside -p quayside-tests --bins
	$(SUDO) target/$(TARGET)/release/bench

# at_least PROGRAM,VERSION,WHAT: Debian's own are there on many machines, and too old on some.
at_least = has=$$($(1) --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1); \
	[ -n "$$has" ] && printf '%s\n' $(2) "$$has" | sort -V -C || \
	{ echo "cannot build: $(1) is $${has:-not installed}; install $(3)"; exit 1; }

tools:
	@$(call at_least,cargo,1.95,Rust 1.95 or newer: https://rustup.rs)
	@$(call at_least,node,20,Node.js 20 or newer: https://nodejs.org)
	@$(call at_least,npm,9,npm 9 or newer; it comes with Node.js)

packages:
	@.ci/packages $(PACKAGES)

test-packages:
	@.ci/packages $(TEST_PACKAGES)

# Anew only when the lock file has changed since the last time.
web/node_modules/.package-lock.json: web/package-lock.json
	@echo "== fetching what the page is built from"
	npm --prefix web ci --no-fund --no-audit

web: tools web/node_modules/.package-lock.json
	@echo "== building the page"
	npm --prefix web run --silent build

format:
	@echo "== format"
	cargo fmt --check

lint: web
	@echo "== lints"
	cargo clippy --locked --workspace --all-targets -- -D warnings
	npm --prefix web run --silent check
	@$(MAKE) --no-print-directory fuzz

# The fuzz targets are not of the workspace. They are checked with its lock file, and nothing is linked: the fuzzer's own
# library, which wants a C++ compiler, may be anywhere.
FUZZ := --manifest-path runtime/fuzz/Cargo.toml
fuzz: export CUSTOM_LIBFUZZER_PATH := $(CURDIR)/target/no-libfuzzer.a
.PHONY: fuzz
fuzz:
	@echo "== fuzz targets"
	@cp Cargo.lock runtime/fuzz/Cargo.lock
	@if cargo fetch --quiet $(FUZZ); then cargo check --quiet --target-dir target $(FUZZ); \
	else echo "== not tested: the fuzz targets; libfuzzer-sys cannot be had"; echo "the fuzz targets" >>$(NOT_TESTED); fi

# Test programs run as root, which the kernel's tests need; they are built by whoever calls.
unit: web
	@echo "== unit and kernel tests"
	npm --prefix web test --silent
	cargo build --locked -p quayside
	$(if $(SUDO),$(RUNNER)="sudo -n -E") QUAYSIDE_BIN=$(CURDIR)/$(DEBUG) cargo test --locked --workspace

lessons: web
	@echo "== proof of the bundled lessons"
	cargo build --locked -p quayside
	$(SUDO) $(DEBUG) lesson test --strict --type --data $(CURDIR)/target/test-data lessons
	$(SUDO) $(DEBUG) lesson test --strict --type --data $(CURDIR)/target/test-data tests/lessons

# The kernel's tests once more, on a younger kernel with control groups v2 alone: each program, and the proof
# of the lessons, in a guest of its own. A kernel that cannot be had (77) is said, and proves nothing.
GUEST := $(CURDIR)/tests/second-kernel/run
GUEST_TESTS := --test kernel --test cgroups --test doctor --test terminals
second-kernel: web lessons
	@echo "== the kernel's tests on a second kernel"
	@$(SUDO) $(GUEST) uname -srm; case $$? in \
	0) set -ex; \
	  $(RUNNER)="$(if $(SUDO),sudo -n -E) $(GUEST)" QUAYSIDE_BIN=$(CURDIR)/$(DEBUG) QUAYSIDE_TEST_PATIENCE=4 \
	    cargo test --locked --workspace $(GUEST_TESTS) -- --test-threads=1; \
	  $(SUDO) env SECOND_KERNEL_SEED=$(CURDIR)/target/test-data $(GUEST) \
	    $(CURDIR)/$(DEBUG) lesson test --strict --type --data /vm lessons;; \
	77) echo "== not tested: the runtime on a second kernel"; echo "the runtime on a second kernel" >>$(NOT_TESTED);; \
	*) exit 1;; \
	esac

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json
	npm --prefix tests/browser ci --no-fund --no-audit

browser: web tests/browser/node_modules/.package-lock.json
	@echo "== the whole product in Chromium"
	cargo build --locked -p quayside
	$(SUDO) env "PATH=$$PATH" QUAYSIDE_BIN=$(CURDIR)/$(DEBUG) npm --prefix tests/browser test --silent
