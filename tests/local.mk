include tests/unit/local.mk

# ---- unit: one cmocka program per module ----

if HAVE_CMOCKA
check_PROGRAMS += $(unit_programs)
TESTS += $(unit_programs)
else
TESTS += tests/no-cmocka
endif

# ---- db: its threads against a server, which tests/integration starts ----

if HAVE_CMOCKA
check_PROGRAMS += tests/db/test_db_worker
tests_db_test_db_worker_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS) \
	$(CMOCKA_CFLAGS)
tests_db_test_db_worker_LDADD = $(db_libs) $(CMOCKA_LIBS)
endif

# ---- lints ----

lints =						\
	tests/lint/documented			\
	tests/lint/headers			\
	tests/lint/layers			\
	tests/lint/listed			\
	tests/lint/man				\
	tests/lint/roles			\
	tests/lint/symbols

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
	tests/driver				\
	tests/integration			\
	tests/lint/lib.sh			\
	tests/no-cmocka				\
	tests/run-integration

# What Python left in tests/integration is not part of it.
dist-hook:
	find $(distdir)/tests -name __pycache__ -prune -exec rm -rf {} +
	find $(distdir)/tests -name .pytest_cache -prune -exec rm -rf {} +
