noinst_LIBRARIES += src/orm/liborm.a
src_orm_liborm_a_SOURCES =			\
	src/orm/sqltext.c			\
	src/orm/sqltext.h

orm_libs = src/orm/liborm.a $(resp_libs)
