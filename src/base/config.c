#include "base/config.h"

#include <stdlib.h>

struct lk_config_models *
lk_config_models_hold(struct lk_config_models *models)
{
	if (models != NULL)
		models->n_holds++;
	return models;
}

static void
fini_relation(struct lk_config_relation *relation)
{
	free(relation->name);
	free(relation->to);
	free(relation->columns);
	free(relation->references);
	free(relation->through);
	free(relation->near);
	free(relation->far);
}

static void
fini_model(struct lk_config_model *model)
{
	size_t i;

	for (i = 0; i < model->n_relations; i++)
		fini_relation(&model->relations[i]);
	free(model->relations);
	free(model->database);
	free(model->table);
	free(model->name);
}

void
lk_config_models_free(struct lk_config_models **models)
{
	struct lk_config_models *gone = *models;
	size_t i;

	*models = NULL;
	if (gone == NULL || --gone->n_holds > 0)
		return;
	for (i = 0; i < gone->n; i++)
		fini_model(&gone->list[i]);
	free(gone->list);
	free(gone);
}
