noinst_LIBRARIES += src/net/libnet.a
src_net_libnet_a_SOURCES =			\
	src/net/conn.c				\
	src/net/conn.h				\
	src/net/listener.c			\
	src/net/listener.h			\
	src/net/outq.c				\
	src/net/outq.h				\
	src/net/socket.c			\
	src/net/socket.h
src_net_libnet_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS)

net_libs = src/net/libnet.a $(core_libs) $(LIBEVENT_LIBS)
