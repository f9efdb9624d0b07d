/*
 * A config file read while another is in force: what can change at once does,
 * what needs a new start stays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "ops/config.h"
#include "ops/key.h"

static void
ignore(struct lk_buf *ignored, const char *group, const char *key)
{
	if (ignored->len > 0)
		lk_buf_puts(ignored, ", ");
	lk_buf_printf(ignored, "%s%s%s", group, *key != '\0' ? "." : "", key);
}

/* The keys of one struct that need a start keep their running values. */
static void
keep_running(enum lk_key_scope scope, void *base, const void *running,
    struct lk_buf *ignored)
{
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++) {
		if (key->scope != scope || key->reloads ||
		    lk_key_is_same(key, base, running))
			continue;
		ignore(ignored, key->group, key->key);
		lk_key_copy(key, base, running);
	}
}

static struct lk_config_database *
find_database(struct lk_config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->n_databases; i++) {
		if (strcmp(config->databases[i].name, name) == 0)
			return &config->databases[i];
	}
	return NULL;
}

static void
copy_keys(struct lk_config_database *to, const struct lk_config_database *from)
{
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++) {
		if (key->scope == LK_KEY_DATABASE)
			lk_key_copy(key, to, from);
	}
}

/*
 * The running databases in their running order, each with what the file says
 * of it.  One that is new in the file or gone from it needs a start.
 */
static void
keep_databases(struct lk_config *config, const struct lk_config *running,
    struct lk_buf *ignored)
{
	struct lk_config_database *list = lk_xcalloc(running->n_databases,
	    sizeof(*list));
	const struct lk_config_database *in_file;
	size_t i, n_found = 0;

	for (i = 0; i < running->n_databases; i++) {
		in_file = find_database(config, running->databases[i].name);
		n_found += in_file != NULL;
		copy_keys(&list[i], in_file != NULL ? in_file :
		    &running->databases[i]);
		keep_running(LK_KEY_DATABASE, &list[i], &running->databases[i],
		    ignored);
	}
	if (n_found < running->n_databases || n_found < config->n_databases ||
	    strcmp(config->databases[0].name, running->databases[0].name) != 0)
		ignore(ignored, "databases", "");
	lk_config_set_databases(config, list, running->n_databases);
}

int
lk_config_reload(const char *path, const struct lk_config *running,
    struct lk_config **config_out, struct lk_buf *ignored,
    struct lk_error *error)
{
	struct lk_config *config;
	int rc = lk_config_load(path, &config, error);

	if (rc < 0)
		return rc;
	keep_running(LK_KEY_ONCE, config, running, ignored);
	keep_databases(config, running, ignored);
	lk_config_fill_rows(config);
	*config_out = config;
	return 0;
}
