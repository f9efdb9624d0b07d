# core under random schedules, against an oracle

check_PROGRAMS += tests/sim/sim
TESTS += tests/sim/sim

tests_sim_sim_SOURCES =				\
	tests/sim/clients.c			\
	tests/sim/oracle.c			\
	tests/sim/pg.c				\
	tests/sim/sim.c				\
	tests/sim/sim.h				\
	tests/sim/tasks.c			\
	tests/sim/world.c
tests_sim_sim_LDADD = $(core_libs)

EXTRA_DIST += tests/sim/README
