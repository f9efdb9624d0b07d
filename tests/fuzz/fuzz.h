/*
 * What a fuzz target defines.  libFuzzer's main() calls it with inputs of its
 * own making; tests/fuzz/replay.c with the files of the corpus.
 */
#ifndef LK_TESTS_FUZZ_H
#define LK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Longer inputs are left alone; -max_len in tests/run-fuzz says so, too. */
#define LK_FUZZ_MAX_BYTES	2048

/* Aborts when the input shows a bug; returns 0. */
int	LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
