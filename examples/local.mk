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

# With our own client for Node.js.
EXTRA_DIST += examples/lockkeeper.mjs

# With our own library, from coroutines.
noinst_PROGRAMS += examples/coroutines
examples_coroutines_SOURCES = examples/coroutines.c
examples_coroutines_LDADD = src/client/liblockkeeper.la
examples_coroutines_LDFLAGS = $(AM_LDFLAGS) -static
if HAVE_LUA
noinst_PROGRAMS += examples/lua
examples_lua_CPPFLAGS = $(AM_CPPFLAGS) $(LUA_CFLAGS)
examples_lua_LDADD = src/client/liblockkeeper.la $(LUA_LIBS)
examples_lua_LDFLAGS = $(AM_LDFLAGS) -static
endif
EXTRA_DIST +=					\
	examples/lua.c				\
	examples/lua.lua
