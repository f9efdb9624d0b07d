/*
 * main() of a fuzz target where there is no libFuzzer: gives it each file that
 * is named and each in a folder that is named.  `make check` names nothing:
 * then it is the target's corpus in $LK_SRCDIR.
 */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

/* A corpus is small; more than this is no file of it. */
#define MAX_BYTES	(1 << 20)

static void
fail(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s\n", path, why);
	exit(1);
}

/* In memory of just its size, so that sanitizers see where it ends. */
static void
replay_file(const char *path, size_t n)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(n > 0 ? n : 1);

	if (file == NULL || bytes == NULL)
		fail(path, strerror(errno));
	if (n > MAX_BYTES || fread(bytes, 1, n, file) != n)
		fail(path, "is too large, or cannot be read");
	fclose(file);
	fprintf(stderr, "%s\n", path);	/* the last line, if it ends here */
	LLVMFuzzerTestOneInput(bytes, n);
	free(bytes);
}

static unsigned
replay(char *const *paths)
{
	FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	unsigned n_files = 0;
	FTSENT *entry;

	if (tree == NULL)
		fail(paths[0], strerror(errno));
	while ((entry = fts_read(tree)) != NULL) {
		if (entry->fts_errno != 0)
			fail(entry->fts_path, strerror(entry->fts_errno));
		if (entry->fts_info != FTS_F)
			continue;
		replay_file(entry->fts_path, (size_t)entry->fts_statp->st_size);
		n_files++;
	}
	fts_close(tree);
	return n_files;
}

/* fuzz_value's is corpus/value. */
static char *
find_corpus(const char *program)
{
	const char *top = getenv("LK_SRCDIR"), *name = strrchr(program, '_');
	char *path;

	if (top == NULL || name == NULL) {
		fprintf(stderr, "usage: %s file|folder ...\n", program);
		exit(2);
	}
	if (asprintf(&path, "%s/tests/fuzz/corpus/%s", top, name + 1) < 0)
		abort();
	return path;
}

int
main(int argc, char **argv)
{
	char *corpus[] = { NULL, NULL };
	unsigned n_files;

	if (argc < 2)
		corpus[0] = find_corpus(argv[0]);
	n_files = replay(argc < 2 ? corpus : argv + 1);
	printf("%u passed\n", n_files);
	free(corpus[0]);
	return n_files > 0 ? 0 : 1;
}
