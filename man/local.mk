dist_man_MANS =					\
	man/lockkeeper-protocol.7		\
	man/lockkeeper.1			\
	man/lockkeeper.conf.5			\
	man/lockkeeperd.8
