# Fuzz targets.  Configured with --enable-fuzzing they have libFuzzer's main(),
# which makes inputs up.  Else they have that of replay.c, with which
# `make check` gives each target its corpus.

fuzz_programs =					\
	tests/fuzz/fuzz_config			\
	tests/fuzz/fuzz_mux			\
	tests/fuzz/fuzz_request			\
	tests/fuzz/fuzz_value			\
	tests/fuzz/fuzz_verb
if HAVE_CMOCKA
fuzz_programs += tests/fuzz/fuzz_envelope
endif

if FUZZING
fuzz_main =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = tests/fuzz/replay.c
fuzz_ldflags = $(AM_LDFLAGS)
TESTS += $(fuzz_programs)
endif
check_PROGRAMS += $(fuzz_programs)

fuzz: $(fuzz_programs)
.PHONY: fuzz

tests_fuzz_fuzz_config_SOURCES =		\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_config.c		\
	$(fuzz_main)
tests_fuzz_fuzz_config_LDADD = $(ops_libs)
tests_fuzz_fuzz_config_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_envelope_SOURCES =		\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_envelope.c		\
	$(fuzz_main)
tests_fuzz_fuzz_envelope_LDADD = $(core_libs) $(CMOCKA_LIBS)
tests_fuzz_fuzz_envelope_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_mux_SOURCES =			\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_mux.c			\
	$(fuzz_main)
tests_fuzz_fuzz_mux_LDADD = $(client_libs)
tests_fuzz_fuzz_mux_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_request_SOURCES =		\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_request.c		\
	$(fuzz_main)
tests_fuzz_fuzz_request_LDADD = $(resp_libs)
tests_fuzz_fuzz_request_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_value_SOURCES =			\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_value.c			\
	$(fuzz_main)
tests_fuzz_fuzz_value_LDADD = $(client_libs)
tests_fuzz_fuzz_value_LDFLAGS = $(fuzz_ldflags)

tests_fuzz_fuzz_verb_SOURCES =			\
	tests/fuzz/fuzz.h			\
	tests/fuzz/fuzz_verb.c			\
	$(fuzz_main)
tests_fuzz_fuzz_verb_LDADD = $(orm_libs)
tests_fuzz_fuzz_verb_LDFLAGS = $(fuzz_ldflags)

EXTRA_DIST +=					\
	tests/fuzz/config.dict			\
	tests/fuzz/corpus			\
	tests/fuzz/envelope.dict		\
	tests/fuzz/mux.dict			\
	tests/fuzz/replay.c			\
	tests/fuzz/request.dict			\
	tests/fuzz/value.dict			\
	tests/fuzz/verb.dict
