/*
 * The config file: whatever is in it, loading takes it or says what is wrong
 * with it, and what a config is shown as loads to the same config.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/die.h"
#include "fuzz.h"
#include "ops/config.h"

/* libconfig 1.5 forgets a string that it had read when an error follows. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

/* The loader takes a path: one of a file in memory. */
static struct lk_config *
load(const void *text, size_t n, struct lk_error *error)
{
	struct lk_config *config = NULL;
	char path[32];
	int fd, rc;

	fd = memfd_create("config", MFD_CLOEXEC);
	lk_assert(fd >= 0);
	lk_assert(write(fd, text, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = lk_config_load(path, &config, error);
	close(fd);
	lk_assert((rc == 0) == (config != NULL));
	lk_assert((rc == 0) != error->is_set);
	/* Which file, and which line of it. */
	lk_assert(rc == 0 ||
	    (strncmp(error->message, path, strlen(path)) == 0 &&
	    error->message[strlen(path)] == ':'));
	return config;
}

/* The mask of a secret may be longer than the secret. */
static bool
is_too_long(const struct lk_error *error)
{
	return strstr(error->message, ".conninfo: is too long") != NULL;
}

static void
check_shown(const struct lk_config *config)
{
	struct lk_buf first = LK_BUF_INIT, second = LK_BUF_INIT;
	struct lk_error error = { 0 };
	struct lk_config *again;

	lk_config_show(config, &first);
	again = load(first.data, first.len, &error);
	if (again != NULL) {
		lk_config_show(again, &second);
		lk_assert(first.len == second.len);
		lk_assert(memcmp(first.data, second.data, first.len) == 0);
	} else {
		lk_assert(is_too_long(&error));
	}
	lk_config_free(&again);
	lk_buf_fini(&first);
	lk_buf_fini(&second);
	lk_error_fini(&error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct lk_error error = { 0 };
	struct lk_config *config = load(bytes, n, &error);

	if (config != NULL)
		check_shown(config);
	lk_config_free(&config);
	lk_error_fini(&error);
	return 0;
}
