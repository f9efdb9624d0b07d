noinst_PROGRAMS += bench/roundtrip
bench_roundtrip_SOURCES = bench/roundtrip.c
bench_roundtrip_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
bench_roundtrip_LDADD = $(client_libs) $(LIBPQ_LIBS)

EXTRA_DIST += bench/README bench/run
