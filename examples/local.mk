# The story of README's first paragraph, played: shows, and is not installed.
noinst_PROGRAMS += examples/essay
examples_essay_SOURCES =			\
	examples/coro.h				\
	examples/essay.c			\
	examples/wire.h
examples_essay_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
examples_essay_LDADD = $(LIBPQ_LIBS)

# With clients that others have written.
if HAVE_HIREDIS
noinst_PROGRAMS += examples/hiredis
examples_hiredis_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
examples_hiredis_LDADD = $(HIREDIS_LIBS)
endif
EXTRA_DIST +=					\
	examples/hiredis.c			\
	examples/ioredis.mjs			\
	examples/node-redis.mjs			\
	examples/redis-py.py
