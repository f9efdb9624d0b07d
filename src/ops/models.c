#include "ops/models.h"

#include <string.h>

#include "base/die.h"

static const char list_of_models[] =
    "( { table = \"…\"; name = \"…\"; }, { … } )";
static const char list_of_relations[] =
    "( { name = \"…\"; to = \"…\"; columns = [\"…\"]; "
    "references = [\"…\"]; }, { … } )";

const char *
lk_models_name(const struct lk_config_model *model)
{
	return *model->name != '\0' ? model->name : model->table;
}

/* What the catalog calls it. */
static const char *
table_of(const struct lk_config_model *model)
{
	return *model->table != '\0' ? model->table : model->name;
}

/* ---- relations ---- */

static size_t
count_names(const char *names)
{
	size_t n = *names != '\0';

	for (; *names != '\0'; names++)
		n += *names == '\n';
	return n;
}

/* Of columns that equal others there are as many. */
static int
check_counts(const struct lk_reader *reader, const struct lk_place *place,
    const struct lk_config_relation *relation)
{
	bool is_joined = *relation->through != '\0';
	size_t n_near = count_names(relation->near),
	    n_far = count_names(relation->far),
	    n_columns = count_names(relation->columns),
	    n_references = count_names(relation->references);
	const char *key = NULL, *what = NULL;

	if (!is_joined && n_near + n_far > 0) {
		key = n_near > 0 ? "near" : "far";
		what = "is for a relation through a third model; accepted: "
		    "through, too";
	} else if (!is_joined && n_references != n_columns) {
		key = "references";
		what = "has not as many names as columns; accepted: one for "
		    "each";
	} else if (is_joined && n_near != n_columns) {
		key = "near";
		what = "has not as many names as columns; accepted: one for "
		    "each";
	} else if (is_joined && n_far != n_references) {
		key = "far";
		what = "has not as many names as references; accepted: one "
		    "for each";
	}
	return what == NULL ? 0 : lk_place_fail(reader,
	    lk_place_line(place, key), place->group, key, what);
}

static int
read_relation(const struct lk_reader *reader, struct lk_config_model *model,
    size_t i, config_setting_t *setting)
{
	struct lk_config_relation *relation = &model->relations[i];
	struct lk_place place = { "models.relations", setting,
	    config_setting_source_line(setting), LK_KEY_RELATION, relation };
	int rc = lk_place_read(reader, &place);
	size_t j;

	for (j = 0; j < i && rc == 0; j++) {
		if (strcmp(model->relations[j].name, relation->name) == 0)
			rc = lk_place_fail(reader,
			    lk_place_line(&place, "name"), place.group, "name",
			    "is that of another relation too; accepted: a "
			    "name of its own for each");
	}
	return rc == 0 ? check_counts(reader, &place, relation) : rc;
}

/* relations is no key of the table's, since it has several values. */
static int
read_relations(const struct lk_reader *reader, const struct lk_place *place)
{
	struct lk_config_model *model = place->base;
	config_setting_t *list = config_setting_get_member(place->setting,
	    "relations");
	size_t i, n;
	int rc = lk_place_list(reader, list, "models.relations",
	    list_of_relations, &n);

	if (rc < 0 || n == 0)
		return rc;
	model->relations = lk_xcalloc(n, sizeof(*model->relations));
	for (i = 0; i < n && rc == 0; i++) {
		model->n_relations = i + 1;
		rc = read_relation(reader, model, i,
		    config_setting_get_elem(list, (unsigned)i));
	}
	return rc;
}

/* ---- models ---- */

static bool
is_database(const struct lk_config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->n_databases; i++) {
		if (strcmp(config->databases[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool
is_repeated(const struct lk_config_models *models, size_t at)
{
	const struct lk_config_model *model = &models->list[at];
	size_t i;

	for (i = 0; i < at; i++) {
		if (strcmp(models->list[i].database, model->database) == 0 &&
		    strcmp(table_of(&models->list[i]), table_of(model)) == 0)
			return true;
	}
	return false;
}

static int
check_model(const struct lk_reader *reader, const struct lk_config *config,
    const struct lk_place *place)
{
	const struct lk_config_model *model = place->base;
	size_t at = (size_t)(model - config->models->list);

	if (*table_of(model) == '\0')
		return lk_place_fail(reader, place->line, place->group,
		    "table", "is missing; needed: a string, or name");
	if (*model->database != '\0' && !is_database(config, model->database))
		return lk_place_fail(reader, lk_place_line(place, "database"),
		    place->group, "database", "is none of the databases; "
		    "accepted: the name of one, or an empty string");
	if (is_repeated(config->models, at))
		return lk_place_fail(reader, lk_place_line(place,
		    *model->table != '\0' ? "table" : "name"), place->group,
		    *model->table != '\0' ? "table" : "name", "is that of "
		    "another entry too; accepted: one for each table");
	return 0;
}

int
lk_models_read(const struct lk_reader *reader, struct lk_config *config,
    config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "models");
	struct lk_place place = { "models", NULL, 0, LK_KEY_MODEL, NULL };
	size_t i, n;
	int rc = lk_place_list(reader, list, "models", list_of_models, &n);

	if (rc < 0)
		return rc;
	config->models = lk_xcalloc(1, sizeof(*config->models));
	config->models->n_holds = 1;
	config->models->list = lk_xcalloc(n, sizeof(*config->models->list));
	for (i = 0; i < n && rc == 0; i++) {
		config->models->n = i + 1;
		place.base = &config->models->list[i];
		place.setting = config_setting_get_elem(list, (unsigned)i);
		place.line = config_setting_source_line(place.setting);
		rc = lk_place_read(reader, &place);
		if (rc == 0)
			rc = check_model(reader, config, &place);
		if (rc == 0)
			rc = read_relations(reader, &place);
	}
	return rc;
}
