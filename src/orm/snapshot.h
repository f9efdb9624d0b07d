/* What a catalog's snapshot consists of, for the files that make and ask it. */
#ifndef LK_ORM_SNAPSHOT_H
#define LK_ORM_SNAPSHOT_H

#include "orm/catalog.h"

struct lk_foreign_key {
	struct lk_model	*child, *parent;
	size_t		*child_columns, *parent_columns;	/* heap */
	size_t		 n;
	size_t		 number;	/* in the order of adding */
	bool		 is_left_out;
};

struct lk_catalog {
	unsigned	 n_holds;
	struct lk_catalog *next_dead;	/* once nobody holds it */
	bool		 is_read_committed;
	struct lk_model	**models;	/* by name once it is finished */
	size_t		 n_models;	/* then without hidden ones, which stand behind */
	size_t		 n_hidden;
	struct lk_catalog_type **types;
	size_t		 n_types;
	struct lk_foreign_key *keys;
	size_t		 n_keys;
	struct lk_hash	 models_by_oid, types_by_oid;
	/* Once it is finished; what a name means first is in by_name. */
	struct lk_hash	 by_name, by_full_name;
};

/* catalog.c */
void	lk_foreign_key_fini(struct lk_foreign_key *key);
void	lk_relation_free(struct lk_relation **relation);

/* relate.c: all models' relations, in the order of their names. */
void	lk_catalog_relate(struct lk_catalog *catalog);
/* From now on it is the model's; wanted is its to set. */
void	lk_relation_name(struct lk_model *from, struct lk_relation *relation,
	    const char *name);
/* In whatever order. */
bool	lk_is_same_columns(const size_t *a, size_t n_a, const size_t *b,
	    size_t n_b);

/* find.c: make it so that lk_catalog_find() does. */
void	lk_catalog_index_names(struct lk_catalog *catalog);

#endif
