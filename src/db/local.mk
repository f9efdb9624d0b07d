noinst_LIBRARIES += src/db/libdb.a
src_db_libdb_a_SOURCES =			\
	src/db/array.c				\
	src/db/array.h				\
	src/db/backoff.c			\
	src/db/backoff.h			\
	src/db/bind.c				\
	src/db/bind.h				\
	src/db/catalog.c			\
	src/db/catalog.h			\
	src/db/cell.c				\
	src/db/cell.h				\
	src/db/clean.c				\
	src/db/clean.h				\
	src/db/exec.c				\
	src/db/exec.h				\
	src/db/form.c				\
	src/db/form.h				\
	src/db/head.c				\
	src/db/head.h				\
	src/db/listen.c				\
	src/db/listen.h				\
	src/db/load.c				\
	src/db/load.h				\
	src/db/locks.c				\
	src/db/locks.h				\
	src/db/look.c				\
	src/db/look.h				\
	src/db/pgerror.c			\
	src/db/pgerror.h			\
	src/db/pipe.c				\
	src/db/pipe.h				\
	src/db/prepare.c			\
	src/db/prepare.h			\
	src/db/reader.c				\
	src/db/reader.h				\
	src/db/rows.c				\
	src/db/rows.h				\
	src/db/rowset.c				\
	src/db/rowset.h				\
	src/db/run.c				\
	src/db/run.h				\
	src/db/session.c			\
	src/db/session.h			\
	src/db/stmts.c				\
	src/db/stmts.h				\
	src/db/together.c			\
	src/db/together.h			\
	src/db/types.c				\
	src/db/types.def			\
	src/db/types.h				\
	src/db/unit.c				\
	src/db/unit.h				\
	src/db/watcher.c			\
	src/db/watcher.h			\
	src/db/worker.c				\
	src/db/worker.h
src_db_libdb_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBPQ_CFLAGS)

db_libs = src/db/libdb.a src/offload/liboffload.a $(orm_libs) $(LIBPQ_LIBS)
