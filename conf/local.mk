pkgsysconfdir = $(sysconfdir)/lockkeeper
dist_pkgsysconf_DATA = conf/lockkeeper.conf

systemdunitdir = @systemdunitdir@
dist_systemdunit_DATA = conf/lockkeeperd.socket
nodist_systemdunit_DATA = conf/lockkeeperd.service

# Only make knows what these directories are in the end.
conf/lockkeeperd.service: conf/lockkeeperd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) conf && sed \
	    -e 's|@sbindir[@]|$(sbindir)|' -e 's|@sysconfdir[@]|$(sysconfdir)|' \
	    $(srcdir)/conf/lockkeeperd.service.in >$@

EXTRA_DIST += conf/lockkeeperd.service.in
CLEANFILES += conf/lockkeeperd.service
