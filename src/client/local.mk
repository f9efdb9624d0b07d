# What the library is made of, beside what it uses of base and resp.
client_sources =				\
	src/client/call.c			\
	src/client/conn.c			\
	src/client/conn.h			\
	src/client/frame.c			\
	src/client/frame.h			\
	src/client/line.c			\
	src/client/mux.c			\
	src/client/mux.h			\
	src/client/reply.c			\
	src/client/reply.h			\
	src/client/scope.c			\
	src/client/scope.h			\
	src/client/socket.c			\
	src/client/socket.h			\
	src/client/task.c			\
	src/client/task.h			\
	src/client/unit.c			\
	src/client/unit.h			\
	src/client/verb.c			\
	src/client/verb.h

# With its insides open, for tests.
noinst_LIBRARIES += src/client/libclient.a
src_client_libclient_a_SOURCES = $(client_sources)	\
	src/client/client.c			\
	src/client/client.h

client_libs = src/client/libclient.a $(resp_libs)

# What is installed.  Of all its symbols those of the version script are seen.
lib_LTLIBRARIES += src/client/liblockkeeper.la
src_client_liblockkeeper_la_SOURCES = $(client_sources)	\
	src/base/buf.c				\
	src/base/clock.c			\
	src/base/die.c				\
	src/base/error.c			\
	src/resp/encode.c			\
	src/resp/request.c			\
	src/resp/value.c			\
	src/resp/wire.c
src_client_liblockkeeper_la_CFLAGS = $(AM_CFLAGS) -fvisibility=hidden
src_client_liblockkeeper_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0	\
	-Wl,--version-script=$(srcdir)/src/client/liblockkeeper.map
EXTRA_src_client_liblockkeeper_la_DEPENDENCIES =	\
	src/client/liblockkeeper.map

include_HEADERS =				\
	include/lockkeeper.h			\
	include/lockkeeper-libevent.h		\
	include/lockkeeper-poll.h
pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = src/client/lockkeeper.pc
EXTRA_DIST += src/client/liblockkeeper.map
