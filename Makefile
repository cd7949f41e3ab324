# egns: see README.md. The targets: all test demo asan lint fmt fuzz bench soak
# install clean deps.

PREFIX = /usr/local
DESTDIR =
B = build
CC = gcc
CFLAGS = -O2 -g
LDLIBS =
FUZZ_SECONDS = 10

# Debian packages, in the one place where they are named.
BUILD_DEPS = gcc make libc6-dev libjq-dev libtokyocabinet-dev libev-dev \
	libwolfssl-dev libwslay-dev libhttp-parser-dev libcurl4-openssl-dev \
	libmosquitto-dev librdkafka-dev libexpat1-dev
DEMO_DEPS = jq python3
TEST_DEPS = bats jq python3 procps iproute2 socat parallel openssl mosquitto \
	mosquitto-clients python3-paho-mqtt nginx curl $(NPM_DEPS)
# Nobody who has npm from elsewhere gets Debian's, too.
NPM_DEPS = $(if $(shell command -v npm),,nodejs npm)
MQTTJS = 5.16.0
# The last that Debian's node is new enough for.
CLOUDEVENTS = 9.0.0
AZURITE = 3.35.0
STORAGE_BLOB = 12.27.0
LINT_DEPS = clang-tidy cppcheck shellcheck mandoc
FMT_DEPS = clang-format git
FUZZ_DEPS = clang libclang-rt-14-dev
BENCH_DEPS = redis-server nats-server libhiredis-dev libnats-dev mosquitto \
	libssl-dev openssl jq nginx wrk python3

WARN = -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wvla -Wwrite-strings -Wundef
CPPFLAGS_ = -D_GNU_SOURCE -Ilib $(CPPFLAGS)

# V=1 shows whole commands.
Q = $(if $(V),,@)

# What each program is made of; lib/ never needs cmd/.
ground = buf file fault num clock quote spool
ctl = $(ground) log base64 crc32c json jq event filter changes registry role \
	topic template tree group grants access enrich cert issue expiry uuid \
	iprange nouns schema schema_check schema_help schema_links schema_rules \
	schema_subscription shorthand query table line client segment journal \
	deliveries maildir record mqtt_properties mosq endpoint kafka_properties \
	mapping binding standing storage principal progress daybook deadletter \
	letter distance address
topicd = $(ground) log base64 crc32c json jq event filter changes registry \
	role segment journal queue deliveries daybook deadletter maildir commit \
	daemon metrics binding mapping
pull = $(ground) json line client
brokerd = $(ground) log base64 crc32c json jq changes registry role topic \
	template tree group grants access segment daybook deadletter maildir commit \
	daemon metrics control mqtt mqtt_properties mqtt_write record tls chain ws identity \
	jwt fetch credential endpoint managed secret uuid cert iprange expiry \
	lifecycle address
route = $(ground) log base64 crc32c json jq event enrich routing \
	routing_message routing_payload foreign record topic mqtt_properties \
	changes registry role segment maildir intake intake_files intake_left \
	lifecycle uuid schedule line client wire daybook deadletter commit daemon \
	watch metrics control credential endpoint address managed secret fetch mosq
push = $(ground) log base64 crc32c json jq event filter binding mapping \
	changes registry role schedule standing line client wire daybook deadletter \
	daemon watch metrics control credential endpoint kafka_properties managed \
	secret fetch sas hmac connection uuid tls chain cert address segment

# Blob Storage; its answers are XML, so that who uses it links -lexpat, too.
blob = blob blob_answer blob_auth blob_xml hmac connection base64 credential \
	managed fetch secret
# Dead letters where they end, whatever that is.
letters = $(blob) container container_dir container_list container_path putter \
	commit storage storage_role principal endpoint letter remains selection \
	selection_walk distance registry changes json jq crc32c segment log line daybook \
	deadletter progress
dlq = $(sort $(ground) $(letters) role schedule daemon watch metrics control uuid \
	table maildir intake intake_files intake_left address)
replay = $(sort $(ground) $(letters) event client uuid address)

PROGRAMS = egns-ctl egns-topicd egns-pull egns-brokerd egns-route egns-push \
	egns-dlq egns-replay
LIBS_egns-ctl = -ljq -ltokyocabinet -lwolfssl -lmosquitto -lev -lm
LIBS_egns-topicd = -ljq -ltokyocabinet -lev -lpthread
LIBS_egns-brokerd = -ljq -ltokyocabinet -lwolfssl -lwslay -lhttp_parser -lcurl \
	-lev -lpthread
LIBS_egns-route = -ljq -ltokyocabinet -lev -lcurl -lmosquitto -lpthread -lm
LIBS_egns-dlq = -ljq -ltokyocabinet -lwolfssl -lcurl -lexpat -lev -lpthread -lm
LIBS_egns-replay = $(LIBS_egns-dlq)
LIBS_egns-push = -ljq -ltokyocabinet -lwolfssl -lhttp_parser -lcurl -lrdkafka \
	-lev -lpthread

all: $(PROGRAMS:%=$(B)/%)

objects = $(patsubst %.c,$(B)/%.o,$(1))
sources = $(if $(wildcard cmd/$(1)/*.c),$(wildcard cmd/$(1)/*.c),cmd/$(1).c)

define program
$(B)/$(1): $(call objects,$(call sources,$(1)) $(2:%=lib/%.c))
	@echo ld $$@
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(LDLIBS)
endef
$(eval $(call program,egns-ctl,$(ctl)))
$(eval $(call program,egns-topicd,$(topicd)))
$(eval $(call program,egns-pull,$(pull)))
$(eval $(call program,egns-brokerd,$(brokerd)))
$(eval $(call program,egns-route,$(route)))
$(eval $(call program,egns-push,$(push)))
$(eval $(call program,egns-dlq,$(dlq)))
$(eval $(call program,egns-replay,$(replay)))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo cc $<
	$(Q)$(CC) $(CPPFLAGS_) $(WARN) $(WERROR) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# All of lib, for tests: the linker takes what a test needs.
$(B)/lib.a: $(call objects,$(wildcard lib/*.c))
	@echo ar $@
	$(Q)rm -f $@ && ar rcs $@ $^

# What tests build: unit/ (TAP), fuzz/ (a program that reads its corpus; under
# `make fuzz` FUZZ_MAIN makes it a fuzzer), helpers of soak/, crash/ and bench/.
ALL_LIBS = -ljq -ltokyocabinet -lwolfssl -lwslay -lhttp_parser -lcurl -lexpat \
	-lev -lpthread -lm
FUZZ_MAIN = $(B)/tests/corpus.o
UNITS = $(patsubst %.c,$(B)/%,$(wildcard tests/unit/*.c))
FUZZERS = $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*.c))
LOADS = $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c))
LIBS_bench-redis = -lhiredis
LIBS_bench-nats = -lnats
LIBS_bench-mqtt = -lssl -lcrypto

$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(FUZZ_MAIN:-%=) $(B)/lib.a
	@echo ld $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(FUZZ_MAIN) $(B)/lib.a \
	    $(ALL_LIBS) $(LDLIBS)

# Parts of a daemon that stand alone, too.
parts = $(call objects,$(patsubst %,cmd/egns-brokerd/%.c,subs retain message))
$(B)/tests/unit/broker-%: $(B)/tests/unit/broker-%.o $(parts) $(B)/lib.a
	@echo ld $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) $(LDLIBS)

$(B)/tests/unit/route-%: $(B)/tests/unit/route-%.o $(B)/cmd/egns-route/%.o \
    $(B)/lib.a
	@echo ld $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS) $(LDLIBS)

# Of these programs, what a test needs.
define parts_of
$(B)/$(1).a: $(call objects,$(filter-out %/main.c,$(wildcard cmd/egns-$(1)/*.c)))
	@echo ar $$@
	$$(Q)rm -f $$@ && ar rcs $$@ $$^

$(B)/tests/unit/$(1)-%: $(B)/tests/unit/$(1)-%.o $(B)/$(1).a $(B)/lib.a
	@echo ld $$@
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(ALL_LIBS) $(2) $$(LDLIBS)
endef
$(eval $(call parts_of,push,-lrdkafka))
$(eval $(call parts_of,dlq))
$(eval $(call parts_of,replay))

$(B)/tests/kafka/%: LDLIBS += -lrdkafka

$(B)/tests/%: $(B)/tests/%.o $(B)/lib.a
	@echo ld $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_bench-$(*F)) $(ALL_LIBS) \
	    $(LDLIBS)

# Without sanitizers, which a preloaded library would have to load first.
$(B)/tests/crash/shim.so: tests/crash/shim.c
	@mkdir -p $(@D)
	@echo ld $@
	$(Q)$(CC) $(CPPFLAGS_) $(WARN) $(WERROR) -O2 -g -fPIC -shared -o $@ $<

# MQTT.js, a client that tests drive; what their webhook is made with; a Blob
# Storage, and a client of it. The file that stands for one may have a scope as
# its directory.
MODULES = $(addprefix $(B)/npm/,mqtt@$(MQTTJS) cloudevents@$(CLOUDEVENTS) \
	azurite@$(AZURITE) @azure/storage-blob@$(STORAGE_BLOB))
$(B)/npm/%:
	@mkdir -p $(@D)
	@echo npm $*
	$(Q)flock $(B)/npm npm install --loglevel=error --no-audit --no-fund \
	    --prefix $(B)/npm $*
	@touch $@

KAFKA = $(patsubst %.c,$(B)/%,$(wildcard tests/kafka/*.c))
BLOB = $(patsubst %.c,$(B)/%,$(wildcard tests/blob/*.c))

testing: all $(UNITS) $(FUZZERS) $(KAFKA) $(BLOB) $(B)/tests/soak/load \
	$(B)/tests/crash/shim.so $(MODULES)

test: test-deps
	@$(MAKE) -j2 --no-print-directory testing
	@B=$(B) tests/run $(TESTS)

asan: SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
asan:
	@$(MAKE) --no-print-directory test B=build/asan \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer $(SANITIZE)'

soak: test-deps
	@$(MAKE) -j2 --no-print-directory testing
	@B=$(B) tests/soak/soak
	@B=$(B) tests/soak/broker
	@B=$(B) tests/soak/route
	@B=$(B) tests/soak/push
	@B=$(B) tests/soak/dead

bench: bench-deps
	@$(MAKE) -j2 --no-print-directory all $(LOADS) $(KAFKA)
	@B=$(B) tests/bench/bench $(BENCH)

demo: demo-deps
	@$(MAKE) -j2 --no-print-directory all
	@PATH=$(CURDIR)/$(B):$$PATH examples/quickstart.sh

# clang compiles everything anew for this, so that all of it guides the fuzzer.
FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=fuzzer-no-link,address,undefined
fuzz: fuzz-deps
	@$(MAKE) -j2 --no-print-directory fuzzers B=build/fuzz CC=clang \
	    CFLAGS='$(FUZZ_FLAGS)' FUZZ_MAIN=-fsanitize=fuzzer
	@B=build/fuzz tests/fuzz/run $(FUZZ_SECONDS)

fuzzers: $(FUZZERS)

# Each of the four alone, too; zero warnings is what passes.
lint: lint-tidy lint-cppcheck lint-shell lint-man

PRODUCT = $(wildcard lib/*.c cmd/*.c cmd/*/*.c)
SCRIPTS = $(shell grep -rlE '^\#!.*(sh|bash|bats)$$' .ci tests examples) \
	$(wildcard tests/*.bash tests/*/*.bash tests/*.bats)

lint-tidy: lint-deps
	printf '%s\n' $(PRODUCT) | xargs -P 2 -n 4 sh -c \
	    'clang-tidy --quiet "$$@" -- -std=c11 $(CPPFLAGS_) 2>&1' tidy

lint-cppcheck: lint-deps
	cppcheck -q --std=c11 --enable=warning,performance,portability \
	    --inline-suppr --suppress=missingIncludeSystem \
	    --suppress=ctunullpointer --error-exitcode=1 $(CPPFLAGS_) \
	    '-Djv_array_foreach(a,i,x)=while (x)' \
	    '-DTAILQ_FOREACH(v,h,f)=while (((v) = some_of(h)))' \
	    $(PRODUCT)

# Variables of BATS and tests/lib.bash are not seen from a test (2154, 2317), and
# what it says of ls and of one file twice in a pipe does not hold for tests.
lint-shell: lint-deps
	shellcheck -x -e SC2012,SC2094,SC2154,SC2317 $(SCRIPTS)

lint-man: lint-deps
	mandoc -T lint -W warning $(wildcard man/*.[1-8])

# What has been changed since the last commit; the rest was laid out by hand.
fmt: fmt-deps
	git clang-format --extensions c,h --force

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install $(PROGRAMS:%=$(B)/%) $(DESTDIR)$(PREFIX)/bin
	for page in man/*.[1-8]; do \
		install -D -m 644 -t \
		    $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || \
		    exit 1; \
	done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in $(notdir $(wildcard examples/systemd/*)); do \
		sed 's|/usr/local|$(PREFIX)|g' examples/systemd/$$unit \
		    >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done

# Install what is missing when root; else say how, and fail.
define need
@command -v dpkg-query >/dev/null || exit 0; \
missing=; for p in $(1); do \
	dpkg-query -W -f '$${db:Status-Status}\n' $$p 2>/dev/null | \
	    grep -qx installed || missing="$$missing $$p"; \
done; \
test -n "$$missing" || exit 0; \
if test $$(id -u) -ne 0; then \
	echo "missing packages: apt-get install$$missing" >&2; exit 1; \
fi; \
export DEBIAN_FRONTEND=noninteractive; \
apt-get -qq update && \
apt-get -qq install --no-install-recommends $$missing >/dev/null
endef

deps: build-deps demo-deps test-deps lint-deps fmt-deps fuzz-deps bench-deps
build-deps:
	$(call need,$(BUILD_DEPS))
demo-deps:
	$(call need,$(BUILD_DEPS) $(DEMO_DEPS))
test-deps:
	$(call need,$(BUILD_DEPS) $(TEST_DEPS))
lint-deps:
	$(call need,$(BUILD_DEPS) $(LINT_DEPS))
fmt-deps:
	$(call need,$(FMT_DEPS))
fuzz-deps:
	$(call need,$(BUILD_DEPS) $(FUZZ_DEPS))
bench-deps:
	$(call need,$(BUILD_DEPS) $(BENCH_DEPS))

clean:
	rm -rf build $(B)

.PHONY: all testing test asan soak bench demo fuzz fuzzers lint lint-tidy \
	lint-cppcheck lint-shell lint-man fmt install clean deps build-deps \
	demo-deps test-deps lint-deps fmt-deps fuzz-deps bench-deps
.SECONDARY:
