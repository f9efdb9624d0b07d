noinst_LIBRARIES += src/core/libcore.a
src_core_libcore_a_SOURCES =			\
	src/core/arrive.c			\
	src/core/cancel.c			\
	src/core/client.c			\
	src/core/compat.c			\
	src/core/core.c				\
	src/core/core.h				\
	src/core/deadlock.c			\
	src/core/envelope.c			\
	src/core/graph.c			\
	src/core/graph.h			\
	src/core/hello.c			\
	src/core/internal.h			\
	src/core/pool.c				\
	src/core/push.c				\
	src/core/request.c			\
	src/core/show.c				\
	src/core/show.def			\
	src/core/stats.def			\
	src/core/task.c				\
	src/core/tx.c				\
	src/core/verbs.c			\
	src/core/verbs.def			\
	src/core/victim.c			\
	src/core/waits.c			\
	src/core/watch.c			\
	src/core/words.c			\
	src/core/worker.c

core_libs = src/core/libcore.a src/offload/liboffload.a $(orm_libs)

EXTRA_DIST += src/core/README
