# Callmark: build, run, test. `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# rustup puts cargo where a shell that is already open does not look.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# What is fetched once for all checkouts: weights, Python environments, tools.
CALLMARK_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/callmark
export CALLMARK_MODELS ?= $(CALLMARK_CACHE)/models
# Recordings with known truth; `make eval` says so where there are none.
export CALLMARK_CORPUS ?= $(abspath ../shared/corpus)

MODEL ?= base
OUT ?= out
KAFKA_PORT ?= 9092
KAFKA_DIR ?= $(CALLMARK_CACHE)/kafka-data
TARGET := $(or $(CARGO_TARGET_DIR),target)
CALLMARK := $(TARGET)/release/callmark
VENV := .make/venv.sh $(CALLMARK_CACHE)/venv

# One profile for everything, so that a dependency (and whisper.cpp with it) is compiled once.
CARGO_FLAGS := --release --locked

# The last three are what librdkafka is compiled with.
BUILD_DEPS := cc:build-essential c++:build-essential cmake clang libclang-dev pkg-config curl ca-certificates \
  libssl-dev zlib1g-dev libcurl4-openssl-dev
TEST_DEPS := python3 python3-venv java:default-jre-headless
DEMO_DEPS := python3 flite sox ffmpeg
KAFKA_DEPS := python3 mvn:maven java:default-jre-headless
WEB_DEPS := chromium node:nodejs npm:npm postgresql

##@ Use

.PHONY: run
run: model ## Score the demo calls: installs, builds and fetches what is missing first
	$(CALLMARK) score pipelines/demo/audio --calls pipelines/demo/calls.csv --model $(MODEL) --out $(OUT)/demo

.PHONY: deps
deps: ## Install the Debian packages and the Rust that a build needs
	@.make/deps.sh $(BUILD_DEPS)

.PHONY: build
build: deps ## Build the command, target/release/callmark
	cargo build $(CARGO_FLAGS) -p callmark

.PHONY: model
model: build ## Fetch and verify the speech model (MODEL=base) and the sentence model
	$(CALLMARK) models pull $(MODEL)
	$(CALLMARK) models pull minilm

.PHONY: serve
serve: run ## Open the review page on the demo calls, http://127.0.0.1:8480
	$(CALLMARK) serve $(OUT)/demo --audio pipelines/demo/audio

.PHONY: report
report: run ## Compare AI with people: on the demo calls, and on 100,000 simulated ones; writes OUT/report-*
	rm -rf $(OUT)/simulated && $(CALLMARK) simulate --calls 100000 --reviews 500 --out $(OUT)/simulated
	for name in demo simulated; do \
	  reviews=$(OUT)/$$name/reviews.parquet; \
	  $(CALLMARK) compare $(OUT)/$$name $$([[ ! -e $$reviews ]] || echo --reviews $$reviews) \
	    --html $(OUT)/report-$$name.html --json $(OUT)/report-$$name.json > $(OUT)/report-$$name.md; \
	done

.PHONY: demo
demo: ## Make the demo recordings again from their scripts
	@.make/deps.sh $(DEMO_DEPS)
	python3 pipelines/demo/make_demo.py

.PHONY: kafka
kafka: ## Run a Kafka broker on 127.0.0.1:9092 in the foreground (KAFKA_PORT, KAFKA_DIR)
	@.make/deps.sh $(KAFKA_DEPS)
	python3 .make/kafka_broker.py run --dir $(KAFKA_DIR) --port $(KAFKA_PORT) --topics

##@ Check

.PHONY: test
test: lint test-unit test-whisper-only test-readers test-compare test-kill test-web test-kafka-short ## Everything that CI runs

.PHONY: lint
lint: deps ## Formatting, lints, documentation, licences
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps
	python3 .make/dependencies.py

# Tests and the command they run come out of one build: `cargo build -p callmark` selects other features of shared
# dependencies and would compile half of them again.
.PHONY: test-build
test-build: deps
	cargo test $(CARGO_FLAGS) --workspace --no-run
	$(CALLMARK) models pull $(MODEL)
	$(CALLMARK) models pull minilm

.PHONY: test-unit
test-unit: test-build ## Tests of every crate, and of the command itself
	cargo test $(CARGO_FLAGS) --workspace

# A build without CTranslate2 stays whole: its lints, and the recogniser's own tests. Same target folder, so that whisper.cpp is
# not compiled again; no binaries, so that the ones of the whole build stay.
WHISPER_ONLY := --no-default-features --features whisper
.PHONY: test-whisper-only
test-whisper-only: test-build ## The build without CTranslate2: lints of the command, tests of the recogniser
	cargo clippy $(CARGO_FLAGS) -p callmark $(WHISPER_ONLY) -- -D warnings
	cargo test $(CARGO_FLAGS) -p callmark-asr $(WHISPER_ONLY) --lib --tests

# The command for graphics cards; at its end the usual one is back in its place. Mesa's driver that computes in software
# counts as a card.
.PHONY: test-vulkan
test-vulkan: test-build ## The build for graphics cards (Vulkan) on a driver in software: the recogniser's tests, a call scored
	@.make/deps.sh mesa-vulkan-drivers
	headers=$$(.make/vulkan.sh $(CALLMARK_CACHE)) && export CPATH=$$headers GGML_VK_VISIBLE_DEVICES=0 && \
	  cargo build $(CARGO_FLAGS) --workspace --features callmark/vulkan --bin callmark && mkdir -p $(OUT) && \
	  cp $(CALLMARK) $(OUT)/callmark-vulkan && rm -rf $(OUT)/vulkan-demo && \
	  $(OUT)/callmark-vulkan score pipelines/demo/audio/demo-06.mp3 --device gpu --out $(OUT)/vulkan-demo && \
	  cargo test $(CARGO_FLAGS) -p callmark-asr --no-default-features --features vulkan --lib --tests
	cargo test $(CARGO_FLAGS) --workspace --no-run
	$(CALLMARK) sql $(OUT)/vulkan-demo "select start_ms, text from turns order by start_ms" | tee $(OUT)/vulkan-demo.txt
	grep -qi 'thank\|hello\|help' $(OUT)/vulkan-demo.txt

.PHONY: test-readers
test-readers: test-build test-deps ## DuckDB, Polars, pyarrow, pandas and Spark read the tables
	rm -rf $(OUT)/readers && mkdir -p $(OUT)
	$(TARGET)/release/examples/write_sample $(OUT)/readers
	python=$$($(VENV) crates/callmark-store/tests/readers/requirements.txt) && \
	  $$python crates/callmark-store/tests/readers/read_tables.py $(OUT)/readers/tables $(OUT)/readers/expected.json

.PHONY: test-compare
test-compare: test-build test-deps ## The comparison against lifelines, scipy and statsmodels; its SQL in DuckDB and Spark
	python=$$($(VENV) crates/callmark-compare/tests/reference/requirements.txt) && \
	  $$python crates/callmark-compare/tests/reference/compare_reference.py $(TARGET)/release/examples/statistics_cases
	rm -rf $(OUT)/compare-sql && $(CALLMARK) simulate --calls 5000 --out $(OUT)/compare-sql > /dev/null
	python=$$($(VENV) crates/callmark-store/tests/readers/requirements.txt) && \
	  $$python crates/callmark-compare/tests/reference/compare_sql.py $(CALLMARK) $(OUT)/compare-sql

.PHONY: simulation-study
simulation-study: test-build ## Bias and coverage of the comparison's estimators on data sets with known truth
	$(TARGET)/release/examples/simulation_study 4000 4000 > crates/callmark-compare/SIMULATION.md

.PHONY: test-kill
test-kill: test-build test-deps ## Kill the command ten times over the demo calls: none lost, none twice
	python=$$($(VENV) .make/requirements.txt) && $$python .make/kill_test.py --callmark $(CALLMARK) \
	  --input pipelines/demo/audio --calls pipelines/demo/calls.csv --model $(MODEL) --work $(OUT)/kill

WEB_TESTS := crates/callmark-web/tests
.PHONY: test-web
test-web: test-build test-deps ## The review page: reviews on PostgreSQL, a reviewer's hour in chromium, axe-core, schemathesis
	@.make/deps.sh $(WEB_DEPS)
	python3 .make/postgres.py exec cargo test $(CARGO_FLAGS) --workspace --test review --test review_security
	[[ -e $(OUT)/web-demo/_commits ]] || $(CALLMARK) score pipelines/demo/audio --calls pipelines/demo/calls.csv --model $(MODEL) --out $(OUT)/web-demo
	cd $(WEB_TESTS)/browser && npm ci --silent --no-audit --no-fund
	node $(WEB_TESTS)/browser/review_hour.mjs $(CALLMARK) $(OUT)/web-demo pipelines/demo/audio $(OUT)/screens
	python=$$($(VENV) $(WEB_TESTS)/api/requirements.txt) && \
	  $$python $(WEB_TESTS)/api/contract.py $(CALLMARK) $(OUT)/web-demo pipelines/demo/audio

.PHONY: test-s3
test-s3: test-build test-deps ## Commits on a real S3 server: the store's suite, crashes, races, refused connections
	python=$$($(VENV) .make/s3-requirements.txt) && \
	  $$python .make/s3_server.py exec cargo test $(CARGO_FLAGS) --workspace --test store s3:: -- --ignored

KAFKA_COMMANDS := --worker "$(CALLMARK) run" --feed "$(CALLMARK) feed"

.PHONY: test-kafka-short
test-kafka-short: test-build test-deps ## Kill and shake workers and a real broker, recordings and live calls, for a minute or two
	@.make/deps.sh $(KAFKA_DEPS)
	python=$$($(VENV) .make/requirements.txt) && $$python .make/kafka_chaos.py $(KAFKA_COMMANDS) --calls 400 --seconds 30 && \
	  $$python .make/kafka_live.py $(KAFKA_COMMANDS) --calls 6 --speed 4 --kills 3

.PHONY: test-kafka
test-kafka: test-build test-deps ## The same with 3,000 recordings and 20 live calls; logins, rights, topics and messages that are wrong
	@.make/deps.sh $(KAFKA_DEPS)
	python3 .make/kafka_faults.py $(KAFKA_COMMANDS)
	python=$$($(VENV) .make/requirements.txt) && $$python .make/kafka_chaos.py $(KAFKA_COMMANDS) --calls 3000 --seconds 240 && \
	  $$python .make/kafka_live.py $(KAFKA_COMMANDS)

.PHONY: test-kafka-s3
test-kafka-s3: test-build test-deps ## 3,000 recordings into an object store that also refuses connections
	@.make/deps.sh $(KAFKA_DEPS)
	python=$$($(VENV) .make/requirements.txt .make/s3-requirements.txt) && \
	  $$python .make/kafka_chaos.py $(KAFKA_COMMANDS) --s3 --calls 3000 --seconds 240

.PHONY: test-deps
test-deps: deps
	@.make/deps.sh $(TEST_DEPS)

.PHONY: bench-memory
bench-memory: test-build test-deps ## Memory over 1,000 short calls: peak, and whether it stays flat
	@.make/deps.sh ffmpeg
	python3 benches/memory.py $(CALLMARK) pipelines/demo/audio

.PHONY: bench-guard
bench-guard: test-build model ## What got slower since a revision (SINCE=HEAD~1): instructions of the stages, transcription in turns
	@.make/deps.sh valgrind
	benches/guard.py $(or $(SINCE),HEAD~1) $(OUT)/guard

.PHONY: bench-query
bench-query: test-build test-deps ## Reading and grouping ten million turns beside DuckDB
	python=$$($(VENV) .make/requirements.txt) && $$python benches/query.py $(CALLMARK) $(OUT)/bench-web $(CALLS)

.PHONY: bench-asr
bench-asr: test-build test-deps ## Transcription beside faster-whisper and whisper.cpp (QUICK=1: a few minutes; SETS, ROUNDS)
	@.make/deps.sh ffmpeg
	python=$$($(VENV) benches/asr-requirements.txt) && $$python benches/asr.py $(CALLMARK) $(CALLMARK_MODELS) $(CALLMARK_CORPUS) \
	  $(OUT)/bench-asr $(if $(QUICK),--quick) $(if $(SETS),--sets "$(SETS)") $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench-compare
bench-compare: test-build test-deps ## Time and memory of comparing simulated calls (CALLS="1000000 10000000"; kept in OUT)
	python3 benches/compare.py $(CALLMARK) $(OUT)/bench-compare $(or $(CALLS),1000000)

.PHONY: bench-web
bench-web: test-build test-deps ## The review page on a million calls: answers, memory, fifty at once for a minute
	@.make/deps.sh wrk
	python3 benches/web.py $(CALLMARK) $(OUT)/bench-web $(or $(CALLS),1000000)

.PHONY: bench-kafka
bench-kafka: test-build test-deps ## Throughput without recognition beside a bare consumer; memory while 20,000 messages wait
	@.make/deps.sh $(KAFKA_DEPS)
	python3 benches/kafka.py $(CALLMARK) $(TARGET)/release/examples/bare_consumer

.PHONY: bench-scale
bench-scale: test-build test-deps ## How work is divided over workers, and what a million calls a day take
	@.make/deps.sh $(KAFKA_DEPS)
	python3 .make/kafka_scale.py $(KAFKA_COMMANDS)

.PHONY: eval
eval: test-build test-deps ## Score the corpora of CALLMARK_CORPUS and hold them against their truth (SETS="calls telephone noise demo text dialogues")
	.make/eval.sh $(CALLMARK) $(CALLMARK_CORPUS) $(OUT)/eval $(CALLMARK_CACHE)/venv $(or $(SETS),calls telephone noise demo text dialogues)

HEADS := models/heads
.PHONY: train-heads
train-heads: test-build ## Train the head for requests on our own examples and CALLMARK_CORPUS; writes it and its card in models/heads
	{ cat $(HEADS)/human_request_card.md; \
	  $(TARGET)/release/examples/train_head $(CALLMARK_MODELS)/minilm-l6-v2.safetensors $(HEADS)/human_request_words.txt \
	    $(HEADS)/human_request.tsv $(CALLMARK_CORPUS)/text_human_request/utterances.jsonl 1 $(HEADS)/human_request.toml; \
	} > $(HEADS)/human_request.md

# cargo-deny is compiled from source, which no clean machine has minutes for in every `make test`; `lint` checks the
# same policy file with a small script.
CARGO_DENY := $(CALLMARK_CACHE)/tools/bin/cargo-deny
$(CARGO_DENY):
	cargo install cargo-deny --locked --root $(CALLMARK_CACHE)/tools

.PHONY: deny
deny: $(CARGO_DENY) ## Licences, bans and sources with cargo-deny itself
	$(CARGO_DENY) check --config .cargo/deny.toml licenses bans sources

# The advisory database is a git repository at github.com: this runs only where that can be reached.
.PHONY: advisories
advisories: $(CARGO_DENY) ## Known vulnerabilities in dependencies (needs github.com)
	$(CARGO_DENY) check --config .cargo/deny.toml advisories

##@ Other

.PHONY: clean
clean: ## Remove what was built and scored in this checkout; weights and tools in CALLMARK_CACHE stay
	cargo clean
	rm -rf $(OUT)

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
