/* What the configuration says of models, applied to a snapshot in the making. */
#ifndef LK_ORM_RULES_H
#define LK_ORM_RULES_H

#include "base/buf.h"
#include "base/config.h"
#include "orm/snapshot.h"

struct lk_rules {
	struct lk_catalog *catalog;
	const struct lk_config_models *models;	/* NULL: none */
	struct lk_model	**found;	/* for each of them, or NULL; heap */
	struct lk_buf	*said;		/* what they name and is not there */
};

/* Rename and hide: before names are looked up. */
void	lk_rules_begin(struct lk_rules *rules, const char *database);
/* Add relations: when they can be. */
void	lk_rules_relate(struct lk_rules *rules);
void	lk_rules_fini(struct lk_rules *rules);

#endif
