/* What `lockkeeper call --help` adds: the verbs, as the daemon knows them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/session.h"

/* The daemon answers this at once. */
#define TIMEOUT_US	(2 * 1000000ULL)

static int
ask(struct lk_client *client, const char *const *words, size_t n,
    struct lk_value *reply_out)
{
	struct lk_arg args[3];
	struct lk_error error;
	size_t i;
	int rc;

	for (i = 0; i < n; i++)
		args[i] = (struct lk_arg){ words[i], strlen(words[i]) };
	lk_error_init(&error);
	rc = lk_client_call_wait(client, args, n, reply_out, &error);
	lk_error_fini(&error);
	return rc;
}

/* Its one argument is called as all that follows the verb. */
static const char *
syntax_of(const struct lk_value *doc)
{
	const struct lk_value *arguments = lk_client_map_get(doc, "arguments");

	return arguments == NULL || arguments->n_items == 0 ? "" :
	    lk_client_map_text(&arguments->items[0], "name");
}

/* COMMAND DOCS says names in lower case, as Redis does. */
static void
print_verb(const char *name, const struct lk_value *doc)
{
	fputs("  ", stdout);
	for (; *name != '\0'; name++)
		putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' :
		    *name);
	printf(" %s\n      %s\n", syntax_of(doc),
	    lk_client_map_text(doc, "summary"));
}

static void
print_docs(const struct lk_value *docs)
{
	size_t i;

	printf("\nVerbs of the daemon that runs; lockkeeper-protocol(7) says more "
	    "of them:\n");
	for (i = 0; i + 1 < docs->n_items; i += 2)
		print_verb(docs->items[i].text, &docs->items[i + 1]);
}

void
lk_cli_print_verbs(const char *socket)
{
	static const char *const hello[] = { "HELLO", "3" };
	static const char *const docs[] = { "COMMAND", "DOCS" };
	struct lk_client *client = NULL;
	struct lk_value reply;
	struct lk_error error;
	char *path = socket != NULL ? lk_xstrdup(socket) :
	    lk_session_default_socket();

	lk_error_init(&error);
	if (lk_client_connect_wait(path, &client, &error) < 0) {
		printf("\nWhile a daemon runs, its verbs follow here; "
		    "lockkeeper-protocol(7) has them all.\n");
		goto out;
	}
	lk_client_set_timeout(client, TIMEOUT_US);
	if (ask(client, hello, 2, &reply) < 0)
		goto out;
	lk_value_fini(&reply);
	if (ask(client, docs, 2, &reply) < 0)
		goto out;
	if (reply.type == LK_VALUE_MAP)
		print_docs(&reply);
	lk_value_fini(&reply);
out:
	lk_client_free(&client);
	lk_error_fini(&error);
	free(path);
}
