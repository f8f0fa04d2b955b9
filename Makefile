# make run    the gateway with simulated operators; needs Rust and make, nothing else
# make test   everything that must hold: format, lints, licences, tests, documentation examples
# make lint   only the first three
# make tools  what the tests need: foreign SMPP programs, tshark, promtool, systemd-analyze, strace, cargo-deny
# make faults the fault table with the real daemon; FAULT_POINTS is how many moments each fault is tried at
# make bench  all benchmarks; their tables go to benches/RESULTS.md
# make sim    the core in one thread with simulated network, disk and clock: SEEDS of them, or one SEED told in full
# make fuzz   each fuzz target for FUZZ_SECONDS (an hour: make fuzz FUZZ_SECONDS=3600)

FUZZ_SECONDS ?= 60
FAULT_POINTS ?= 12
SEEDS ?= 1000
SEED ?=

# nextest runs each test in a process of its own, and several at once; cargo's own runner serves where it is missing.
TEST_RUNNER := $(if $(shell command -v cargo-nextest 2>/dev/null),nextest run --no-fail-fast,test --no-fail-fast --lib --bins --tests)

.PHONY: run test lint tools faults bench sim fuzz clean

run:
	cargo build --release
	target/release/smppgw demo --config conf/demo.toml

# The tests drive the binary of the same profile (debug, its dependencies optimised), so that one build serves all of them. What
# building it has left to be written goes to the disk first: the commits of the tests would wait behind gigabytes of it.
test: lint
	cargo test --no-run
	sync
	cargo $(TEST_RUNNER)
	cargo test --doc
	cargo test --test reliability -- --points 1

lint: tools
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	tools/deny.sh

tools:
	tools/install.sh

faults: tools
	cargo test --test reliability -- --points $(FAULT_POINTS)

# The last one reads what the others have found, and writes the tables.
bench:
	cargo bench --bench codec --bench text --bench route --bench spool --bench correlation
	cargo bench --bench gateway

sim:
	SIM_SEEDS=$(SEEDS) SIM_SEED=$(SEED) cargo test --test sim with_all_mishaps_nothing_is_lost -- --exact --nocapture

fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	set -e; for target in $$(cargo fuzz list); do \
		mkdir -p fuzz/found/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target fuzz/seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -timeout=10; \
	done

clean:
	cargo clean
	rm -rf .tools tests/clients/node/node_modules
