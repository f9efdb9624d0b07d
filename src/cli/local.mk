noinst_LIBRARIES += src/cli/libcli.a
src_cli_libcli_a_SOURCES =			\
	src/cli/bench.c				\
	src/cli/bench.h				\
	src/cli/bench_hist.c			\
	src/cli/bench_load.c			\
	src/cli/bench_wire.c			\
	src/cli/bench_work.c			\
	src/cli/call.c				\
	src/cli/cli.c				\
	src/cli/cli.h				\
	src/cli/dev.c				\
	src/cli/dev.h				\
	src/cli/dev_daemon.c			\
	src/cli/dev_dir.c			\
	src/cli/dev_find.c			\
	src/cli/dev_link.c			\
	src/cli/dev_pg.c			\
	src/cli/json.c				\
	src/cli/print.c				\
	src/cli/print.h				\
	src/cli/process.c			\
	src/cli/process.h			\
	src/cli/push.c				\
	src/cli/session.c			\
	src/cli/session.h			\
	src/cli/status.c			\
	src/cli/table.c				\
	src/cli/table.h				\
	src/cli/text.c				\
	src/cli/text.h				\
	src/cli/verbs.c

# Of the client library, what is installed, and no more.
cli_libs = src/cli/libcli.a src/client/liblockkeeper.la $(base_libs)

bin_PROGRAMS += lockkeeper
lockkeeper_SOURCES = src/cli/main.c
lockkeeper_LDADD = $(cli_libs)
lockkeeper_LDFLAGS = $(AM_LDFLAGS) -static
