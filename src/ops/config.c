#include "ops/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "ops/conftext.h"
#include "ops/models.h"
#include "ops/place.h"

static int
read_database(const struct lk_reader *reader, struct lk_config *config,
    size_t i, config_setting_t *setting)
{
	struct lk_config_database *db = &config->databases[i];
	struct lk_place place = { "databases", setting,
	    config_setting_source_line(setting), LK_KEY_DATABASE, db };
	struct lk_place workers;
	size_t j;
	int rc = lk_place_read(reader, &place);

	if (rc < 0)
		return rc;
	for (j = 0; j < i; j++) {
		if (strcmp(config->databases[j].name, db->name) == 0)
			return lk_place_fail(reader,
			    lk_place_line(&place, "name"), "databases", "name",
			    "is that of another database too; accepted: a "
			    "name of its own for each");
	}
	workers = lk_place_inside(&place, "workers", "databases.workers");
	rc = lk_place_read(reader, &workers);
	if (rc == 0 && db->workers_min > db->workers_max)
		rc = lk_place_fail(reader, lk_place_line(&workers, "min"),
		    "databases.workers", "min",
		    "is more than max; accepted: at most max");
	return rc;
}

static int
read_databases(const struct lk_reader *reader, struct lk_config *config,
    config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "databases");
	int i, rc = 0, n;

	if (list == NULL)
		return lk_place_fail(reader, 1, "databases", "",
		    "is missing; needed: ( { name = \"…\"; "
		    "conninfo = \"…\"; } )");
	n = config_setting_length(list);
	if (!config_setting_is_list(list) || n == 0)
		return lk_place_fail(reader, config_setting_source_line(list),
		    "databases", "", n == 0 ? "is empty; needed: at least one "
		    "{ name = \"…\"; conninfo = \"…\"; }" : "is no list; "
		    "accepted: ( { … }, { … } )");
	config->databases = lk_xcalloc((size_t)n, sizeof(*config->databases));
	config->n_databases = (size_t)n;
	for (i = 0; i < n && rc == 0; i++)
		rc = read_database(reader, config, (size_t)i,
		    config_setting_get_elem(list, (unsigned)i));
	return rc;
}

/* The file's own keys and every group but databases, by the rows' groups. */
static int
read_groups(const struct lk_reader *reader, const struct lk_place *file)
{
	struct lk_place place;
	int rc = 0;
	size_t i;

	for (i = 0; i < lk_n_keys && rc == 0; i++) {
		if (lk_keys[i].scope != LK_KEY_ONCE || (i > 0 &&
		    strcmp(lk_keys[i].group, lk_keys[i - 1].group) == 0))
			continue;
		place = *lk_keys[i].group == '\0' ? *file :
		    lk_place_inside(file, lk_keys[i].group, lk_keys[i].group);
		rc = lk_place_read(reader, &place);
	}
	return rc;
}

static int
read_config(const struct lk_reader *reader, struct lk_config *config,
    config_setting_t *root)
{
	struct lk_place file = { "", root, 1, LK_KEY_ONCE, config };
	int rc = lk_place_check(reader, &file);

	if (rc == 0)
		rc = read_groups(reader, &file);
	if (rc == 0)
		rc = read_databases(reader, config, root);
	if (rc == 0)
		rc = lk_models_read(reader, config, root);
	return rc;
}

static int
parse_text(const struct lk_reader *reader, struct lk_buf *text,
    config_t *parsed)
{
	if (config_read_string(parsed, lk_buf_cstr(text)) == CONFIG_TRUE)
		return 0;
	lk_error_set(reader->error, LK_ERR_SYNTAX, "%s:%d: %s; accepted: "
	    "key = value; and group = { key = value; };", reader->path,
	    config_error_line(parsed), config_error_text(parsed));
	return -LK_E_INVAL;
}

int
lk_config_load(const char *path, struct lk_config **config_out,
    struct lk_error *error)
{
	struct lk_reader reader = { path, error };
	struct lk_config *config = lk_xcalloc(1, sizeof(*config));
	struct lk_buf text = LK_BUF_INIT;
	config_t parsed;
	int rc;

	config_init(&parsed);
	rc = lk_conftext_read(path, &text, error);
	if (rc == 0)
		rc = parse_text(&reader, &text, &parsed);
	if (rc == 0)
		rc = read_config(&reader, config, config_root_setting(&parsed));
	if (rc == 0) {
		lk_config_fill_rows(config);
		*config_out = config;
	} else {
		lk_config_free(&config);
	}
	config_destroy(&parsed);
	lk_buf_fini(&text);
	return rc;
}

static void
clear_keys(enum lk_key_scope scope, void *base)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		if (lk_keys[i].scope == scope)
			lk_key_clear(&lk_keys[i], base);
	}
}

void
lk_config_set_databases(struct lk_config *config,
    struct lk_config_database *databases, size_t n)
{
	size_t i;

	for (i = 0; i < config->n_databases; i++)
		clear_keys(LK_KEY_DATABASE, &config->databases[i]);
	free(config->databases);
	config->databases = databases;
	config->n_databases = n;
}

void
lk_config_set_rows(struct lk_config *config, struct lk_config_row *rows,
    size_t n)
{
	size_t i;

	for (i = 0; i < config->n_rows; i++) {
		free(config->rows[i].key);
		free(config->rows[i].value);
	}
	free(config->rows);
	config->rows = rows;
	config->n_rows = n;
}

void
lk_config_free(struct lk_config **config)
{
	if (*config == NULL)
		return;
	lk_config_set_rows(*config, NULL, 0);
	lk_config_set_databases(*config, NULL, 0);
	lk_config_models_free(&(*config)->models);
	clear_keys(LK_KEY_ONCE, *config);
	free(*config);
	*config = NULL;
}
