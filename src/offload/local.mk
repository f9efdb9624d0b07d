noinst_LIBRARIES += src/offload/liboffload.a
src_offload_liboffload_a_SOURCES =			\
	src/offload/cross.c			\
	src/offload/cross.h			\
	src/offload/mailbox.c			\
	src/offload/mailbox.h			\
	src/offload/thread.c			\
	src/offload/thread.h

offload_libs = src/offload/liboffload.a $(base_libs)
