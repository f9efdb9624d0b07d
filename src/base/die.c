#include "base/die.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lk_die_assert(const char *expr, const char *file, int line)
{
	fprintf(stderr, "lockkeeper: %s:%d: broken invariant: %s\n", file, line,
	    expr);
	abort();
}

static void *
checked(void *ptr)
{
	if (ptr == NULL) {
		fprintf(stderr, "lockkeeper: out of memory\n");
		abort();
	}
	return ptr;
}

void *
lk_xmalloc(size_t size)
{
	return checked(malloc(size > 0 ? size : 1));
}

void *
lk_xcalloc(size_t n, size_t size)
{
	return checked(calloc(n > 0 ? n : 1, size > 0 ? size : 1));
}

void *
lk_xrealloc(void *ptr, size_t size)
{
	return checked(realloc(ptr, size > 0 ? size : 1));
}

char *
lk_xstrdup(const char *text)
{
	return checked(strdup(text));
}
