noinst_LIBRARIES += src/orm/liborm.a
src_orm_liborm_a_SOURCES =			\
	src/orm/assign.c			\
	src/orm/blame.c				\
	src/orm/cast.c				\
	src/orm/catalog.c			\
	src/orm/catalog.h			\
	src/orm/compile.h			\
	src/orm/cond.c				\
	src/orm/find.c \
	src/orm/fold.c				\
	src/orm/habit.c				\
	src/orm/key.c				\
	src/orm/key.h				\
	src/orm/keyed.c				\
	src/orm/keyed.h				\
	src/orm/page.c				\
	src/orm/path.c				\
	src/orm/quote.c				\
	src/orm/ref.c				\
	src/orm/ref.h				\
	src/orm/relate.c			\
	src/orm/rules.c				\
	src/orm/rules.h				\
	src/orm/select.c			\
	src/orm/snapshot.h			\
	src/orm/sqltext.c			\
	src/orm/sqltext.h			\
	src/orm/upsert.c			\
	src/orm/value.c				\
	src/orm/verb.c				\
	src/orm/verb.def			\
	src/orm/verb.h				\
	src/orm/with.c				\
	src/orm/word.c				\
	src/orm/write.c

orm_libs = src/orm/liborm.a $(resp_libs)
