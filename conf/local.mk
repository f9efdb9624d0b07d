pkgsysconfdir = $(sysconfdir)/lockkeeper
dist_pkgsysconf_DATA = conf/lockkeeper.conf
