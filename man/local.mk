dist_man_MANS =					\
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
