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
BUILD_DEPS = gcc make libc6-dev libjq-dev libtokyocabinet-dev libev-dev
TEST_DEPS = bats jq procps socat parallel
LINT_DEPS = clang-tidy cppcheck shellcheck mandoc clang-format
FUZZ_DEPS = clang libclang-rt-14-dev
BENCH_DEPS = redis-server nats-server libhiredis-dev

WARN = -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wvla -Wwrite-strings -Wundef
CPPFLAGS_ = -D_GNU_SOURCE -Ilib $(CPPFLAGS)

# What each program is made of; lib/ never needs cmd/.
ground = buf fault num log clock quote spool
ctl = $(ground) base64 crc32c json jq event filter registry role schema \
	shorthand query table client journal queue deliveries deadletter maildir
topicd = $(ground) base64 crc32c json jq event filter registry role journal \
	queue deliveries deadletter maildir commit daemon metrics
pull = $(ground) json client

PROGRAMS = egns-ctl egns-topicd egns-pull
LIBS_egns-ctl = -ljq -ltokyocabinet -lev -lm
LIBS_egns-topicd = -ljq -ltokyocabinet -lev -lpthread -lm
LIBS_egns-pull = -lm

all: $(PROGRAMS:%=$(B)/%)

objects = $(patsubst %.c,$(B)/%.o,$(1))
sources = $(if $(wildcard cmd/$(1)/*.c),$(wildcard cmd/$(1)/*.c),cmd/$(1).c)

define program
$(B)/$(1): $(call objects,$(call sources,$(1)) $(2:%=lib/%.c))
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(LDLIBS)
endef
$(eval $(call program,egns-ctl,$(ctl)))
$(eval $(call program,egns-topicd,$(topicd)))
$(eval $(call program,egns-pull,$(pull)))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_) $(WARN) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# All of lib, for tests: the linker takes what a test needs.
$(B)/lib.a: $(call objects,$(wildcard lib/*.c))
	rm -f $@ && ar rcs $@ $^

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/lib.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljq -ltokyocabinet -lev -lpthread \
	    -lm $(LDLIBS)

clean:
	rm -rf $(B)

.PHONY: all clean
