#include <string.h>

#include "ops/config.h"
#include "ops/key.h"

/* A string as libconfig reads it. */
static void
put_quoted(struct lk_buf *out, const char *text)
{
	const char *p;

	lk_buf_putc(out, '"');
	for (p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			lk_buf_printf(out, "\\%c", *p);
		else if ((unsigned char)*p < ' ' || *p == 0x7f)
			lk_buf_printf(out, "\\x%02x", (unsigned char)*p);
		else
			lk_buf_putc(out, *p);
	}
	lk_buf_putc(out, '"');
}

static void
put_key(struct lk_buf *out, const struct lk_key *key, const void *base)
{
	struct lk_buf text = LK_BUF_INIT;

	lk_key_print(key, base, &text);
	lk_buf_printf(out, "%s = ", key->key);
	if (lk_key_is_integer(key))
		lk_buf_puts(out, lk_buf_cstr(&text));
	else
		put_quoted(out, lk_buf_cstr(&text));
	lk_buf_puts(out, ";");
	lk_buf_fini(&text);
}

static void
put_group(struct lk_buf *out, const char *group, const void *base,
    const char *indent)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		if (strcmp(lk_keys[i].group, group) != 0)
			continue;
		lk_buf_puts(out, indent);
		put_key(out, &lk_keys[i], base);
		lk_buf_putc(out, '\n');
	}
}

static void
put_databases(struct lk_buf *out, const struct lk_config *config)
{
	size_t i;

	lk_buf_puts(out, "databases = (\n");
	for (i = 0; i < config->n_databases; i++) {
		const struct lk_config_database *db = &config->databases[i];

		lk_buf_puts(out, "\t{\n");
		put_group(out, "databases", db, "\t\t");
		lk_buf_puts(out, "\t\tworkers = {\n");
		put_group(out, "databases.workers", db, "\t\t\t");
		lk_buf_printf(out, "\t\t};\n\t}%s\n",
		    i + 1 < config->n_databases ? "," : "");
	}
	lk_buf_puts(out, ");\n");
}

void
lk_config_show(const struct lk_config *config, struct lk_buf *out)
{
	size_t i;

	for (i = 0; i < lk_n_keys; i++) {
		const struct lk_key *key = &lk_keys[i];

		if (i > 0 && (key->scope == LK_KEY_DATABASE ?
		    key[-1].scope == LK_KEY_DATABASE :
		    strcmp(key->group, key[-1].group) == 0))
			continue;	/* printed with the row before */
		if (key->scope == LK_KEY_DATABASE) {
			put_databases(out, config);
			continue;
		}
		lk_buf_printf(out, "%s = {\n", key->group);
		put_group(out, key->group, config, "\t");
		lk_buf_puts(out, "};\n");
	}
}

static const char *
or_dash(const char *text)
{
	return text != NULL ? text : "-";
}

void
lk_config_dump(struct lk_buf *out)
{
	const struct lk_key *key;

	for (key = lk_keys; key < lk_keys + lk_n_keys; key++)
		lk_buf_printf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key->group,
		    key->key, lk_key_type_name(key), or_dash(key->initial),
		    or_dash(key->min), or_dash(key->max), key->help);
}
