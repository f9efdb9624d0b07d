noinst_LIBRARIES += src/ops/libops.a
src_ops_libops_a_SOURCES =			\
	src/ops/config.c			\
	src/ops/config.def			\
	src/ops/config.h			\
	src/ops/conftext.c			\
	src/ops/conftext.h			\
	src/ops/files.c				\
	src/ops/files.h				\
	src/ops/key.c				\
	src/ops/key.h				\
	src/ops/logsink.c			\
	src/ops/logsink.h			\
	src/ops/mask.c				\
	src/ops/mask.h				\
	src/ops/models.c			\
	src/ops/models.h			\
	src/ops/place.c				\
	src/ops/place.h				\
	src/ops/reload.c			\
	src/ops/show.c				\
	src/ops/systemd.c			\
	src/ops/systemd.h
src_ops_libops_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBCONFIG_CFLAGS)

ops_libs = src/ops/libops.a src/net/libnet.a src/db/libdb.a $(core_libs) \
	$(LIBCONFIG_LIBS) $(LIBPQ_LIBS) $(LIBEVENT_LIBS)
