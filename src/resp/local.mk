noinst_LIBRARIES += src/resp/libresp.a
src_resp_libresp_a_SOURCES =			\
	src/resp/encode.c			\
	src/resp/encode.h			\
	src/resp/request.c			\
	src/resp/request.h			\
	src/resp/value.c			\
	src/resp/value.h			\
	src/resp/wire.c				\
	src/resp/wire.h

resp_libs = src/resp/libresp.a $(base_libs)
