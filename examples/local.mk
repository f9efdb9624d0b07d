# The story of README's first paragraph, played: shows, and is not installed.
noinst_PROGRAMS += examples/essay
examples_essay_SOURCES =			\
	examples/coro.h				\
	examples/essay.c			\
	examples/wire.h
examples_essay_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)
examples_essay_LDADD = $(LIBPQ_LIBS)
