/* The file's list of models.  For ops' own files. */
#ifndef LK_OPS_MODELS_H
#define LK_OPS_MODELS_H

#include "base/config.h"
#include "ops/place.h"

/* Into config->models, when config->databases are known; 0 or -LK_E_INVAL. */
int	lk_models_read(const struct lk_reader *reader,
	    struct lk_config *config, config_setting_t *root);
/* What the model is called in rows and in the log. */
const char *lk_models_name(const struct lk_config_model *model);

#endif
