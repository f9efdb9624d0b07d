noinst_LIBRARIES += src/core/libcore.a
src_core_libcore_a_SOURCES =			\
	src/core/admin.c			\
	src/core/arrive.c			\
	src/core/batch.c			\
	src/core/cancel.c			\
	src/core/catalog.c			\
	src/core/channel.c			\
	src/core/client.c			\
	src/core/compat.c			\
	src/core/core.c				\
	src/core/core.h				\
	src/core/cursor.c			\
	src/core/deadlock.c			\
	src/core/drain.c			\
	src/core/envelope.c			\
	src/core/envelope.def			\
	src/core/exec.c				\
	src/core/graph.c			\
	src/core/graph.h			\
	src/core/group.c			\
	src/core/hello.c			\
	src/core/hello.def			\
	src/core/holder.c			\
	src/core/internal.h			\
	src/core/lane.c				\
	src/core/lanes.c			\
	src/core/message.c			\
	src/core/models.c			\
	src/core/orm.c				\
	src/core/park.c				\
	src/core/pool.c				\
	src/core/push.c				\
	src/core/pushes.def			\
	src/core/queue.c			\
	src/core/record.c			\
	src/core/replies.def			\
	src/core/report.c			\
	src/core/request.c			\
	src/core/ring.c				\
	src/core/row.c				\
	src/core/row.h				\
	src/core/sentinel.c			\
	src/core/server.c			\
	src/core/show.c				\
	src/core/show.def			\
	src/core/state.h			\
	src/core/stats.def			\
	src/core/subscribe.c			\
	src/core/suspect.c			\
	src/core/tables.c			\
	src/core/tables.h			\
	src/core/task.c				\
	src/core/tx.c				\
	src/core/unknown.c			\
	src/core/verbs.c			\
	src/core/verbs.def			\
	src/core/unit.c				\
	src/core/victim.c			\
	src/core/waits.c			\
	src/core/watch.c			\
	src/core/words.c			\
	src/core/worker.c

core_libs = src/core/libcore.a src/offload/liboffload.a $(orm_libs)

EXTRA_DIST += src/core/README
