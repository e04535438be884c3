# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# smtpsnoop. `make help` lists what there is to make.

VERSION := 0.1.0

# The commit, as version shows it: what git archive has written to .commit; otherwise what git says of this clone.
# GIT_OPTIONAL_LOCKS: a build as root leaves no index of root's in another user's clone.
ifndef COMMIT
COMMIT := $(shell sed -n 's/^\([0-9a-f]\{12\}\)[0-9a-f]*$$/\1/p' .commit 2>/dev/null)
endif
ifeq ($(COMMIT),)
COMMIT := $(shell test -e .git && GIT_OPTIONAL_LOCKS=0 git -c safe.directory='*' -c core.fsmonitor=false \
	describe --always --abbrev=12 --dirty --exclude='*' 2>/dev/null || echo unknown)
endif

# ---- What a bare Debian 12 needs: the one list of packages ------------------------------------

# Debian 11's clang is 11, and bpf/ needs 12: type-based relocations. It has a newer one beside it.
DEBIAN	       := $(shell . /etc/os-release 2>/dev/null && echo $$VERSION_CODENAME)
CLANG_PACKAGE  := $(if $(filter bullseye,$(DEBIAN)),clang-16,clang)
PACKAGES_BUILD := gcc libc6-dev make pkgconf $(CLANG_PACKAGE) llvm bpftool libbpf-dev libelf-dev zlib1g-dev \
	libssl-dev libyaml-dev libpcre2-dev libjansson-dev libsystemd-dev libyara-dev libmicrohttpd-dev
PACKAGES_QUICK := libcmocka-dev python3 python3-jsonschema python3-croniter systemd liblognorm-utils mandoc
PACKAGES_TEST  := curl swaks msmtp s-nail postfix procps util-linux tinyproxy-bin microsocks rsyslog rsyslog-gnutls \
	logrotate prometheus cron at nagios4-core bacula-common iproute2 tmux openssl libasan8 libubsan1 libclang-rt-dev \
	gnutls-bin libcurl3-gnutls libnet-ssleay-perl libsasl2-modules
PACKAGES_LONG  := golang-go default-jdk-headless
# Whole systems, for the scenarios of deploy/examples. Their services neither run nor stay enabled (tests/packages.sh).
PACKAGES_SCENARIOS := logwatch pflogsumm bsd-mailx python3-django liblemonldap-ng-portal-perl libmime-tools-perl \
	libemail-sender-perl libgd-securityimage-perl libimage-magick-perl libstring-random-perl libunicode-string-perl \
	libio-string-perl zabbix-server-pgsql zabbix-agent postgresql bacula-director bacula-director-sqlite3 bacula-sd \
	bacula-fd bacula-console slapd ldap-utils python3-ipaclient
PACKAGES_VM    := qemu-system-x86 busybox-static cpio kmod debootstrap
PACKAGES_CHECK := clang-format clang-tidy cppcheck
# Node.js of another source will do as well.
PACKAGES_NODE  := $(if $(and $(shell command -v node 2>/dev/null),$(shell command -v npm 2>/dev/null)),,nodejs npm)

# ---- Tools and flags --------------------------------------------------------------------------

# CROSS_COMPILE=aarch64-linux-gnu- builds for another machine, against the packages unpacked in SYSROOT.
ifdef CROSS_COMPILE
CC	   := $(CROSS_COMPILE)gcc $(if $(SYSROOT),--sysroot=$(SYSROOT))
ARCH	   := $(firstword $(subst -, ,$(CROSS_COMPILE)))
ifdef SYSROOT
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
export PKG_CONFIG_LIBDIR := $(SYSROOT)/usr/lib/$(CROSS_COMPILE:-=)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
endif
endif
CC	   ?= gcc
CLANG	   ?= $(CLANG_PACKAGE)
BPFTOOL	   ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
ARCH	   ?= $(shell uname -m)
BPF_ARCH   := $(if $(filter aarch64 arm64,$(ARCH)),arm64,x86)
PREFIX	   ?= /usr/local
PYTHON	   ?= /usr/bin/python3

LIBRARIES := libbpf libelf zlib libcrypto yaml-0.1 libpcre2-8 jansson

# What a host may not have: without libsystemd no timer is recognised, without libyara no rule file
# is run, without libmicrohttpd metrics go to a file alone.
LIBRARIES_OPTIONAL := $(foreach library,libsystemd yara libmicrohttpd,$(shell $(PKG_CONFIG) --exists $(library) 2>/dev/null && echo $(library)))
HAVE := $(if $(filter libsystemd,$(LIBRARIES_OPTIONAL)),-DHAVE_LIBSYSTEMD) $(if $(filter yara,$(LIBRARIES_OPTIONAL)),-DHAVE_LIBYARA) \
	$(if $(filter libmicrohttpd,$(LIBRARIES_OPTIONAL)),-DHAVE_LIBMICROHTTPD)

WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes \
	    -Wold-style-definition -Wvla -Wformat=2 -Wundef -Wnull-dereference -Wimplicit-fallthrough -Werror
OPTIMIZE ?= -O2 -g
HARDEN	 := -fstack-protector-strong -fPIE -D_FORTIFY_SOURCE=2

ifdef SANITIZE
BUILD	 ?= build-sanitize
BPF_BUILD := build
# One library for the program, the unit tests and the fuzz targets: libFuzzer needs clang and the marks of fuzzer-no-link.
CC	 := $(CLANG) -Wno-gnu
HARDEN	 := -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
OPTIMIZE := -O1 -g
LDHARDEN := -fsanitize=address,undefined
CPPFLAGS += -DSANITIZED # clang does not define __SANITIZE_ADDRESS__
else
BUILD	 ?= build
BPF_BUILD := $(BUILD)
LDHARDEN := -pie -Wl,-z,relro,-z,now
endif

FUZZ_BUILD := build-fuzz

# The time of a unit test is mostly that of building it.
TEST_OPTIMIZE := -O0 -g
TEST_LDFLAGS  := $(if $(SANITIZE),,$(if $(shell command -v ld.gold),-fuse-ld=gold))

CPPFLAGS += -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD) -I$(BPF_BUILD) $(HAVE)
CFLAGS	 += -std=gnu11 $(OPTIMIZE) $(HARDEN) $(WARNINGS) -pthread
LDFLAGS	 += $(LDHARDEN) -pthread
LDLIBS	 = $(shell $(PKG_CONFIG) --libs $(LIBRARIES) $(LIBRARIES_OPTIONAL)) -ldl

BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Iinclude -Ivmlinux -Ibpf \
	      -isystem $(SYSROOT)/usr/include/$(if $(CROSS_COMPILE),$(CROSS_COMPILE:-=),$(shell gcc -print-multiarch 2>/dev/null)) \
	      -Wall -Wextra -Werror -Wno-unused-parameter

# In a tree of another user, root builds as that user, so that a plain `make` of his works afterwards. What root's tests
# write there becomes his at their end.
ifeq ($(shell id -u),0)
OWNER := $(filter-out 0:%,$(shell stat -c %u:%g Makefile))
endif
ifdef OWNER
BUILT_BY_ROOT = find build build-* tests -xdev -user 0 -exec chown -h $(OWNER) {} + 2>/dev/null || true
ifeq ($(MAKELEVEL),0)
$(shell $(BUILT_BY_ROOT))
endif
$(BUILD)/% $(FUZZ_BUILD)/% $(BPF_BUILD)/smtpsnoop.%: SHELL := setpriv
$(BUILD)/% $(FUZZ_BUILD)/% $(BPF_BUILD)/smtpsnoop.%: .SHELLFLAGS := --reuid=$(firstword $(subst :, ,$(OWNER))) \
	--regid=$(lastword $(subst :, ,$(OWNER))) --clear-groups /bin/sh -c
else
BUILT_BY_ROOT := true
endif

ifneq ($(V),1)
Q := @
SAY = @printf '  %-8s%s\n'
else
SAY = @:
endif

# ---- The product ------------------------------------------------------------------------------

SOURCES := $(wildcard user/*/*.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(BUILD)/libsmtpsnoop.a
PROGRAM := $(BUILD)/smtpsnoop
# One skeleton for both builds: the programs of the kernel have no sanitizers.
SKELETON := $(BPF_BUILD)/smtpsnoop.skel.h

UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY: # keep the objects of the tests

.PHONY: all
all: $(PROGRAM) ## build build/smtpsnoop: what `make` alone does

$(PROGRAM): $(BUILD)/user/main.o $(LIBRARY)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(OBJECTS)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar qcs $@ $^ # q: two folders may name a file alike

# The skeleton is included by capture.c alone, and the commit by version.c.
$(BUILD)/user/capture/capture.o: $(SKELETON)
$(BUILD)/user/commands/version.o: $(BUILD)/commit.h

# Written only if it changes, so that a commit rebuilds one file.
$(BUILD)/commit.h: FORCE
	@mkdir -p $(@D)
	@echo '#define COMMIT "$(COMMIT)"' | cmp -s - $@ || echo '#define COMMIT "$(COMMIT)"' >$@

.PHONY: FORCE
FORCE:

# _FORTIFY_SOURCE wants optimized code.
$(BUILD)/tests/unit/%.o: OPTIMIZE := $(TEST_OPTIMIZE)
$(BUILD)/tests/unit/%.o: HARDEN := $(filter-out -D_FORTIFY_SOURCE=%,$(HARDEN))

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BPF_BUILD)/smtpsnoop.bpf.o: bpf/smtpsnoop.bpf.c Makefile
	@mkdir -p $(@D)
	$(SAY) BPF $<
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<
	$(Q)llvm-strip -g $@

$(SKELETON): $(BPF_BUILD)/smtpsnoop.bpf.o
	$(SAY) SKEL $@
	$(Q)$(BPFTOOL) gen skeleton $< > $@ # the name is that of the file: bpftool 5.10 takes no other

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIBRARY)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) $(TEST_LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null) $(filter-out $(BUILD)/%,$(BPF_BUILD)/smtpsnoop.bpf.d)

# ---- Two commands: from a bare system to a running watch, or to the last test -----------------

.PHONY: deps deps-quick deps-test deps-scenarios deps-vm deps-long run quick test test-all scenarios check format
deps: ## install what building needs
	@tests/packages.sh $(PACKAGES_BUILD)

deps-quick: ## install what make quick needs
	@tests/packages.sh $(PACKAGES_BUILD) $(PACKAGES_QUICK)

deps-test: ## install what the tests and the checks need
	@tests/packages.sh $(PACKAGES_BUILD) $(PACKAGES_QUICK) $(PACKAGES_TEST) $(PACKAGES_CHECK) $(PACKAGES_NODE)

deps-scenarios: deps-test ## install the systems that the scenarios run
	@tests/packages.sh $(PACKAGES_SCENARIOS)

deps-vm: deps-test ## install what the virtual machines need
	@tests/packages.sh $(PACKAGES_VM)

# Each of these starts a second make, which sees the tools that the first one has just installed.
BUILD_AND_RUN = @trap '$(BUILT_BY_ROOT)' EXIT; $(MAKE) --no-print-directory -j$$(nproc) all unit-build && \
	MAKEFLAGS= $(PYTHON) tests/run.py --build $(BUILD)

run: deps ## install what is missing, build, and watch this host (ARGS="-o wide")
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@exec $(PROGRAM) watch $(ARGS)

quick: deps-quick ## the tests that need neither root nor a kernel: half a minute
	$(BUILD_AND_RUN) unit replay events formats docs

test: deps-test ## install what is missing, and run every test of this host (TESTS="unit live": some groups)
	$(BUILD_AND_RUN) --fuzz-seconds $(FUZZ_SECONDS) $(TESTS)

deps-long: deps-vm deps-scenarios ## install what the long tests need
	@tests/packages.sh $(PACKAGES_LONG)

test-all: deps-long ## the same with long load and fuzzing, then every kernel in virtual machines
	$(BUILD_AND_RUN) --fuzz-seconds 60 --long
	@$(MAKE) --no-print-directory test-compilers

.PHONY: unit unit-build live mailers
unit: ## run the unit tests (TEST=test_smtp: one of them)
	@$(MAKE) --no-print-directory -j$$(nproc) $(if $(TEST),$(addprefix $(BUILD)/tests/unit/,$(TEST)),unit-build)
	@$(PYTHON) tests/run.py --build $(BUILD) $(addprefix --test ,$(TEST)) unit

unit-build: $(UNIT_TESTS) ## build the unit tests

live: ## run the live tests, as root (TEST=test_sends.Forms: a module, class or test)
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@SMTPSNOOP=$(abspath $(PROGRAM)) $(PYTHON) tests/live/run.py $(TEST)

scenarios: deps-scenarios ## the examples with whole systems: cron's reports, portals, monitors, backup, directory (root)
	@$(MAKE) --no-print-directory live TEST="$(notdir $(basename $(wildcard tests/live/scenario_*.py)))"

mailers: deps-test ## run the exclusions of deploy/exclusions with the mailers of Debian, as root (TEST=test_mailers.ByExim: some)
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@SMTPSNOOP=$(abspath $(PROGRAM)) $(PYTHON) tests/mailers/run.py $(TEST)

.PHONY: test-kernels test-kernels-short test-compilers test-arm64
PACKAGES_ARM64	  := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm
PACKAGES_COMPILERS := clang-14 clang-16 clang-19
COMPILERS	  := $(PACKAGES_COMPILERS)

test-kernels: deps-vm ## the tests of sends on Debian's kernels from 5.10 to 7.2, and systemd, in virtual machines
	$(BUILD_AND_RUN) vm

test-kernels-short: deps-vm ## the essential ones of these, on the same kernels
	$(BUILD_AND_RUN) --essential vm

test-compilers: deps-vm ## the program on every kernel, as each of several clangs builds it
	@tests/packages.sh $(PACKAGES_COMPILERS)
	@for clang in $(COMPILERS); do \
		$(MAKE) --no-print-directory -j$$(nproc) CLANG=$$clang BUILD=build-$$clang all || exit 1; done
	@$(PYTHON) tests/vm/test_compilers.py $(COMPILERS)

test-arm64: deps-vm ## the tests of sends on an arm64 kernel, cross-built, in a virtual machine
	@tests/packages.sh $(PACKAGES_ARM64)
	@sysroot=$$($(PYTHON) tests/vm/test_kernels.py --sysroot arm64 | tail -n 1) && \
	$(MAKE) --no-print-directory CROSS_COMPILE=aarch64-linux-gnu- SYSROOT=$$sysroot BUILD=build-arm64 all
	@$(PYTHON) tests/vm/test_kernels.py build-arm64 6.1-arm64

# ---- Fuzzing: libFuzzer, under ASan and UBSan ---------------------------------------------------

FUZZ_SECONDS ?= 5
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(FUZZ_BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: fuzz fuzz-build
fuzz: fuzz-build ## fuzz each target for FUZZ_SECONDS (or ARGS="-runs=10000000 -max_total_time=0")
	$(Q)for target in $(FUZZ_TARGETS); do $(PYTHON) tests/fuzz/fuzz.py $$target $(FUZZ_SECONDS) $(ARGS) || exit 1; done

fuzz-build: ## build the fuzz targets, from the library of SANITIZE=1
ifdef SANITIZE
fuzz-build: $(FUZZ_TARGETS)

$(FUZZ_BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) FUZZ $@
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(WARNINGS),$(CFLAGS)) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)
else
	@$(MAKE) --no-print-directory SANITIZE=1 BUILD=build-sanitize $@
endif

C_FILES := $(wildcard user/*.c user/*/*.[ch] include/*.h bpf/*.[ch] tests/unit/*.[ch] tests/bench/*.c tests/fuzz/*.c tests/live/*.c)

format: ## lay out the code
	$(Q)clang-format -i $(C_FILES)

check: all ## format, layout, clang's warnings, clang-tidy, cppcheck
	@MAKEFLAGS= $(PYTHON) tests/run.py --build $(BUILD) check tidy

.PHONY: check-format check-layout check-clang check-tidy check-cppcheck
check-format: ## the layout of the code
	$(Q)clang-format --dry-run --Werror $(C_FILES)

check-layout: all ## the order of includes, circles, lengths of files
	$(Q)$(PYTHON) tests/check_layout.py $(BUILD)
	$(Q)$(PYTHON) tests/test_check_layout.py

check-clang: $(SKELETON) $(BUILD)/commit.h ## the warnings of clang
	$(Q)for f in $(SOURCES) user/main.c $(UNIT_SOURCES); do \
		$(CLANG) $(CPPFLAGS) -std=gnu11 $(WARNINGS) -Wno-gnu -fsyntax-only $$f || exit 1; done

check-tidy: $(SKELETON) $(BUILD)/commit.h ## clang-tidy: four minutes of processor time
	$(Q)printf '%s\n' $(SOURCES) user/main.c | \
		xargs -P $$(nproc) -I@ clang-tidy --quiet --warnings-as-errors='*' @ -- $(CPPFLAGS) -std=gnu11 2>&1 | \
		{ ! grep -E 'warning:|error:|^xargs:'; }

check-cppcheck: ## cppcheck
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
		--suppress=missingIncludeSystem $(filter -D% -Iinclude -Iuser,$(CPPFLAGS)) user

# ---- The cost of watching ----------------------------------------------------------------------

.PHONY: bench
bench: all $(BUILD)/tests/bench/sendcost $(BUILD)/tests/bench/empty bench-parse ## what a send costs with and without the watch
	@$(PYTHON) tests/bench/bench.py --build $(BUILD)

.PHONY: bench-tls bench-parse bench-decide
# nginx of this host, or the package's files, unpacked: it is never installed, so it is no service.
NGINX := $(or $(firstword $(wildcard /usr/sbin/nginx /usr/local/sbin/nginx)),$(BUILD)/nginx/usr/sbin/nginx)
# The client of GnuTLS is measured where its headers are.
BENCH_GNUTLS := $(shell $(PKG_CONFIG) --exists gnutls 2>/dev/null && echo -DHAVE_GNUTLS $$($(PKG_CONFIG) --libs gnutls))

bench-tls: all $(NGINX) $(addprefix $(BUILD)/tests/bench/,tlscost https mapped emptyprobe) ## what probes in TLS libraries cost, with their targets
	@$(PYTHON) tests/bench/bench_tls.py --build $(BUILD) --nginx $(abspath $(NGINX)) $(ARGS)

$(BUILD)/nginx/usr/sbin/nginx:
	@mkdir -p $(BUILD)/nginx
	$(SAY) UNPACK nginx
	$(Q)cd $(BUILD)/nginx && { apt-get download -q nginx || apt-get download -q nginx-light; } >/dev/null && dpkg -x nginx*.deb .

$(BUILD)/tests/bench/tlscost $(BUILD)/tests/bench/https: LDLIBS = -lssl -lcrypto
$(BUILD)/tests/bench/tlscost: LDLIBS += $(BENCH_GNUTLS)
$(BUILD)/tests/bench/mapped $(BUILD)/tests/bench/emptyprobe: LDLIBS = -ldl
$(addprefix $(BUILD)/tests/bench/,tlscost https mapped emptyprobe): $(BUILD)/%: %.c
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LDLIBS)

bench-decide: $(BUILD)/tests/bench/decide ## 100,000 messages against 1,000 exclusions
	@$<

$(BUILD)/tests/bench/decide: tests/bench/decide.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-parse: $(BUILD)/tests/bench/parse ## the speed of the parser alone
	@$<

$(BUILD)/tests/bench/sendcost: tests/bench/sendcost.c
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -o $@ $<

$(BUILD)/tests/bench/parse: tests/bench/parse.c $(LIBRARY)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/bench/empty.skel.h: tests/bench/empty.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $(@D)/empty.bpf.o $<
	$(Q)$(BPFTOOL) gen skeleton $(@D)/empty.bpf.o name empty_bpf > $@

$(BUILD)/tests/bench/empty: tests/bench/empty.c $(BUILD)/tests/bench/empty.skel.h
	$(Q)$(CC) -D_GNU_SOURCE -I$(@D) -o $@ $< $(shell $(PKG_CONFIG) --libs libbpf)

# ---- Installing --------------------------------------------------------------------------------

.PHONY: install uninstall clean help

# What the manual pages name stands below share/smtpsnoop by the same names: docs/..., deploy/...
SHARED := docs/ARCHITECTURE.md docs/coverage.md docs/sentinel.md docs/mailers.md docs/event.schema.json $(shell find deploy -type f)

install: all ## install program, manual pages, unit, documents and examples below PREFIX (/usr/local)
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/sbin/smtpsnoop
	install -D -m 0644 docs/smtpsnoop.8 $(DESTDIR)$(PREFIX)/share/man/man8/smtpsnoop.8
	install -D -m 0644 docs/smtpsnoop.yaml.5 $(DESTDIR)$(PREFIX)/share/man/man5/smtpsnoop.yaml.5
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/sbin|$(PREFIX)/sbin|g' deploy/systemd/smtpsnoop.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/smtpsnoop.service
	@for file in $(SHARED); do \
		install -D -m 0644 $$file $(DESTDIR)$(PREFIX)/share/smtpsnoop/$$file || exit 1; done

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/sbin/smtpsnoop $(DESTDIR)$(PREFIX)/share/man/man8/smtpsnoop.8 \
		$(DESTDIR)$(PREFIX)/share/man/man5/smtpsnoop.yaml.5 $(DESTDIR)$(PREFIX)/lib/systemd/system/smtpsnoop.service
	rm -rf $(DESTDIR)$(PREFIX)/share/smtpsnoop

clean: ## remove what was built
	rm -rf build build-*

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | LC_ALL=C sort -t: -k1,1 | awk -F ':.*## ' '{ printf "  make %-18s  %s\n", $$1, $$2 }'
	@echo '  SANITIZE=1 builds with ASan and UBSan in build-sanitize; V=1 shows the commands'
