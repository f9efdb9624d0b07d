noinst_LIBRARIES += bench/libbench.a
bench_libbench_a_SOURCES = bench/bench.c bench/bench.h
bench_libbench_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_libs = bench/libbench.a $(client_libs) $(LIBPQ_LIBS)

noinst_PROGRAMS += bench/roundtrip bench/deadlock bench/cost bench/cursor \
	bench/loop
bench_roundtrip_SOURCES = bench/roundtrip.c
bench_roundtrip_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_roundtrip_LDADD = $(bench_libs)
bench_deadlock_SOURCES = bench/deadlock.c
bench_deadlock_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_deadlock_LDADD = $(bench_libs)
bench_cost_SOURCES = bench/cost.c
bench_cost_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_cost_LDADD = $(bench_libs) -lm
bench_loop_SOURCES = bench/loop.c
bench_loop_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_loop_LDADD = $(bench_libs)
bench_cursor_SOURCES = bench/cursor.c
bench_cursor_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_cursor_LDADD = $(bench_libs)

EXTRA_DIST +=					\
	bench/README				\
	bench/compare				\
	bench/comparing/coroutines.py		\
	bench/comparing/cpu.py			\
	bench/comparing/rows.py			\
	bench/comparing/stage.py		\
	bench/comparing/ways.py			\
	bench/run

noinst_PROGRAMS += bench/cleaning
bench_cleaning_SOURCES = bench/cleaning.c
bench_cleaning_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_cleaning_LDADD = $(db_libs)
