noinst_LIBRARIES += src/client/libclient.a
src_client_libclient_a_SOURCES =			\
	src/client/client.c			\
	src/client/client.h			\
	src/client/frame.c			\
	src/client/frame.h

client_libs = src/client/libclient.a $(resp_libs)
