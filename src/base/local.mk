noinst_LIBRARIES += src/base/libbase.a
src_base_libbase_a_SOURCES =			\
	src/base/buf.c				\
	src/base/buf.h				\
	src/base/clock.c			\
	src/base/clock.h			\
	src/base/config.c			\
	src/base/config.h			\
	src/base/die.c				\
	src/base/die.h				\
	src/base/error.c			\
	src/base/error.def			\
	src/base/error.h			\
	src/base/fields.def			\
	src/base/format.h			\
	src/base/hash.c				\
	src/base/hash.h				\
	src/base/heap.c				\
	src/base/heap.h				\
	src/base/id.c				\
	src/base/id.h				\
	src/base/list.h				\
	src/base/log.c				\
	src/base/log.h				\
	src/base/logline.c			\
	src/base/logline.h			\
	src/base/mutex.c			\
	src/base/mutex.h			\
	src/base/pool.c				\
	src/base/pool.h				\
	src/base/role.c				\
	src/base/role.h				\
	src/base/utf8.c				\
	src/base/utf8.h				\
	src/base/version.h			\
	src/base/with.c				\
	src/base/with.h

# What a program links to use a layer: the layer and all that it needs.
base_libs = src/base/libbase.a
