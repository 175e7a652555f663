# Every target with a comment after "##" is shown by `make help`.
DENO_VERSION := 2.9.6
TOOLCHAIN := .toolchain
DENO := $(TOOLCHAIN)/deno-$(DENO_VERSION)
PREFIX ?= /usr/local
DESTDIR ?=
# One directory below test/ to run alone: pure, adapter, command, binary or cluster.
LAYER ?=

# Nothing outside the checkout is written to, and deno does not ask for newer versions of itself.
export DENO_DIR := $(CURDIR)/$(TOOLCHAIN)/deno-dir
export DENO_NO_UPDATE_CHECK := 1
unexport MAKEFLAGS MFLAGS

SOURCES := $(wildcard main.ts deno.json deno.lock lib/*.ts lib/*/*.ts lib/*/*/* lib/executable/*)

.DEFAULT_GOAL := help
.PHONY: help demo test packages-demo build install uninstall check bench stress test-cluster test-next test-network cluster-up cluster-down clean packages schema golden

help: ## Shows this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: packages-demo build ## Shows the tool at work, on Slurm or the stand-in
	@$(DENO) run -A test/demo.ts

test: $(TOOLCHAIN)/dependencies packages ## Runs all checks and tests; LAYER=pure runs one layer
	@$(DENO) run -A test/support/run_tests.ts $(LAYER)

build: dist/datalad-slurm ## Builds the executable dist/datalad-slurm, which is all that is needed

install: dist/datalad-slurm dist/share ## Installs below PREFIX (/usr/local), or below DESTDIR/PREFIX
	@lib/executable/install.sh install '$(PREFIX)' '$(DESTDIR)'

uninstall: dist/share ## Removes what install has put there
	@lib/executable/install.sh uninstall '$(PREFIX)' '$(DESTDIR)'

check: $(TOOLCHAIN)/dependencies ## Checks formatting, lint, types and the layers of imports
	$(DENO) fmt --check
	$(DENO) lint
	$(DENO) check
	$(DENO) test -A test/pure/layers_test.ts

bench: $(TOOLCHAIN)/dependencies build ## Measures the speed of the executable
	$(DENO) run -A test/bench/bench.ts

stress: $(TOOLCHAIN)/dependencies build ## Kills and crowds the executable for a while
	$(DENO) run -A test/stress/stress.ts

test-cluster: $(TOOLCHAIN)/dependencies packages ## Stops parts of one and of two Slurm clusters while jobs run (root)
	@DENO_JOBS=1 $(DENO) run -A test/support/run_tests.ts cluster/clusters.ts cluster/outages.ts

# Exit code 77 is for what cannot be had here, and why has been said.
test-next: $(TOOLCHAIN)/dependencies packages ## Tests with Slurm 24.11 of Debian's next release in a folder (root)
	@for layer in cluster command; do \
	    test/support/next_debian.sh $(TOOLCHAIN)/next $(DENO) run -A \
	        test/support/run_tests.ts $$layer || { code=$$?; [ $$code = 77 ] || exit $$code; }; \
	done

# As above; the cluster's own files stay on this machine.
test-network: $(TOOLCHAIN)/dependencies packages ## Tests between nodes on a network file system (root)
	@CLUSTER_DIR=$${CLUSTER_DIR:-$${TMPDIR:-/tmp}/datalad-slurm-network} test/support/network_files.sh \
	    $(TOOLCHAIN)/ceph $(DENO) run -A test/stress/network.ts || [ $$? = 77 ]

golden: $(TOOLCHAIN)/dependencies ## Writes the golden files of the output anew (fixtures/golden/)
	DATALAD_SLURM_GOLDEN=write $(DENO) test --quiet -A test/command/golden_test.ts \
	    test/command/terminal_session_test.ts

schema: $(TOOLCHAIN)/dependencies ## Writes the schema of --json anew (lib/cli/json/)
	$(DENO) run -A lib/cli/json/write_schema.ts
	$(DENO) fmt --quiet lib/cli/json

cluster-up: $(TOOLCHAIN)/dependencies packages ## Starts a Slurm cluster of four nodes on this machine (root)
	@$(DENO) run -A test/cluster/cluster.ts up

cluster-down: $(TOOLCHAIN)/dependencies ## Stops that cluster and removes its files
	@$(DENO) run -A test/cluster/cluster.ts down

clean: ## Removes what was built and the toolchain
	rm -rf dist $(TOOLCHAIN)

packages:
	@test/support/debian_packages.sh

packages-demo:
	@test/support/debian_packages.sh demo

$(DENO): test/support/toolchain.sh
	@test/support/toolchain.sh $(DENO_VERSION) $@

# The npm packages that deno.lock pins, and the bundler: later steps need no network.
$(TOOLCHAIN)/dependencies: $(DENO) deno.json deno.lock
	@$(DENO) install --frozen --quiet
	@$(DENO) bundle --quiet --output $(TOOLCHAIN)/bundler-is-there.js lib/errors.ts
	@touch $@

dist/datalad-slurm: $(SOURCES) $(TOOLCHAIN)/dependencies
	@$(DENO) run -A lib/executable/build.ts $@

# Man pages, completions and the modulefile.
dist/share: $(SOURCES) $(TOOLCHAIN)/dependencies
	@$(DENO) run -A lib/executable/build_share.ts $@
