noinst_LIBRARIES += src/daemon/libdaemon.a
src_daemon_libdaemon_a_SOURCES =			\
	src/daemon/daemon.c			\
	src/daemon/daemon.h			\
	src/daemon/dump.c			\
	src/daemon/dump.h			\
	src/daemon/effects.c			\
	src/daemon/internal.h			\
	src/daemon/threads.c			\
	src/daemon/threads.h
src_daemon_libdaemon_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)

daemon_libs = src/daemon/libdaemon.a $(ops_libs)

sbin_PROGRAMS += lockkeeperd
lockkeeperd_SOURCES = src/daemon/main.c
lockkeeperd_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)
lockkeeperd_LDADD = $(daemon_libs)
