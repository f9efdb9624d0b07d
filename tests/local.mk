include tests/unit/local.mk

# ---- unit: one cmocka program per module ----

if HAVE_CMOCKA
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)
else
TESTS += tests/no-cmocka
endif

# ---- sim: core in a world that is made up ----

include tests/sim/local.mk

# ---- db: its threads against a server, which tests/integration starts ----

if HAVE_CMOCKA
check_PROGRAMS += tests/db/test_db_listen tests/db/test_db_unit \
	tests/db/test_db_worker
tests_db_test_db_listen_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS) \
	$(CMOCKA_CFLAGS)
tests_db_test_db_listen_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_db_test_db_unit_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS) \
	$(CMOCKA_CFLAGS)
tests_db_test_db_unit_LDADD = $(db_libs) $(CMOCKA_LIBS)
tests_db_test_db_worker_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS) \
	$(CMOCKA_CFLAGS)
tests_db_test_db_worker_LDADD = $(db_libs) $(CMOCKA_LIBS)
endif

# ---- clients: our library and others' at the orders of tests/integration ----

if HAVE_HIREDIS
check_PROGRAMS += tests/clients/hiredis_client
tests_clients_hiredis_client_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS) \
	$(LIBEVENT_CFLAGS)
tests_clients_hiredis_client_LDADD = $(HIREDIS_LIBS) $(LIBEVENT_LIBS)
endif

check_PROGRAMS += tests/clients/lk_client
tests_clients_lk_client_SOURCES = tests/clients/lk_client.c
tests_clients_lk_client_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
tests_clients_lk_client_LDADD = src/client/liblockkeeper.la $(LIBEVENT_LIBS)
tests_clients_lk_client_LDFLAGS = $(AM_LDFLAGS) -static

# ---- fuzz: what reads bytes of others, given anything ----

include tests/fuzz/local.mk

# ---- lints ----

lints =						\
	tests/lint/documented			\
	tests/lint/exports			\
	tests/lint/headers			\
	tests/lint/layers			\
	tests/lint/listed			\
	tests/lint/man				\
	tests/lint/npm				\
	tests/lint/roles			\
	tests/lint/symbols			\
	tests/lint/tested			\
	tests/lint/units			\
	tests/lint/verbs

TESTS += $(lints)

# ---- integration: pytest against the real daemon ----

TESTS += tests/run-integration

# ---- how they are run ----

# Prints each test's closing lines as it ends, and all of a failed one's log.
TEST_EXTENSIONS =
LOG_DRIVER = $(SHELL) $(top_srcdir)/tests/driver

AM_TESTS_ENVIRONMENT =				\
	LK_SRCDIR='$(abs_top_srcdir)'		\
	LK_BUILDDIR='$(abs_top_builddir)'	\
	LK_CPPFLAGS='$(DEFS) $(AM_CPPFLAGS) $(LIBPQ_CFLAGS) $(LIBEVENT_CFLAGS) $(LIBCONFIG_CFLAGS) $(CPPFLAGS)' \
	LK_LIBS='$(LIBPQ_LIBS) $(LIBEVENT_LIBS) $(LIBCONFIG_LIBS)' \
	LK_SANITIZERS='$(LK_SANITIZERS)'	\
	CC='$(CC)'				\
	CLANG='$(CLANG)'			\
	MANDOC='$(MANDOC)'			\
	NM='$(NM)'				\
	PG_BINDIR='$(PG_BINDIR)'		\
	PYTHON='$(PYTHON)'			\
	PYTHONDONTWRITEBYTECODE=1;		\
	export LK_SRCDIR LK_BUILDDIR LK_CPPFLAGS LK_LIBS LK_SANITIZERS CC \
	CLANG MANDOC NM PG_BINDIR PYTHON PYTHONDONTWRITEBYTECODE;

EXTRA_DIST +=					\
	$(lints)				\
	tests/clients/hiredis_client.c		\
	tests/clients/node/.npmrc		\
	tests/clients/node/driver.mjs		\
	tests/clients/node/ioredis.mjs		\
	tests/clients/node/node-redis.mjs	\
	tests/clients/node/package-lock.json	\
	tests/clients/node/package.json		\
	tests/clients/node/subscribe.mjs	\
	tests/db/side.h				\
	tests/driver				\
	tests/integration			\
	tests/isolation				\
	tests/lint/lib.sh			\
	tests/no-cmocka				\
	tests/run-fuzz				\
	tests/run-integration

# What Python left in tests/integration is not part of it.
dist-hook:
	find $(distdir)/tests -name __pycache__ -prune -exec rm -rf {} +
	find $(distdir)/tests -name .pytest_cache -prune -exec rm -rf {} +
