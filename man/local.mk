dist_man_MANS =					\
	man/liblockkeeper.3			\
	man/lk_await.3				\
	man/lk_call.3				\
	man/lk_conn.3				\
	man/lk_mux.3				\
	man/lk_reply.3				\
	man/lk_request.3			\
	man/lockkeeper-deadlocks.7		\
	man/lockkeeper-protocol.7		\
	man/lockkeeper.1			\
	man/lockkeeper.conf.5			\
	man/lockkeeperd.8

EXTRA_DIST += man/tables man/tables.awk

# Their tables are printed by the daemon: make man-tables, when it has changed.
man-tables: lockkeeperd$(EXEEXT)
	cd '$(srcdir)' && man/tables '$(abs_builddir)/lockkeeperd$(EXEEXT)' \
	    $(dist_man_MANS)

.PHONY: man-tables
