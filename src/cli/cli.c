#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *program = "lockkeeper";

void
lk_cli_set_program(const char *argv0)
{
	char *absolute;

	if (argv0 == NULL || strchr(argv0, '/') == NULL)
		return;
	absolute = argv0[0] != '/' ? realpath(argv0, NULL) : NULL;
	program = absolute != NULL ? absolute : argv0;
}

const char *
lk_cli_program(void)
{
	return program;
}

static void __attribute__((format(printf, 1, 0)))
vsay(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("lockkeeper: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void
lk_cli_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

enum lk_exit
lk_cli_misuse(const struct lk_command *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	return lk_cli_point_to_help(command);
}

enum lk_exit
lk_cli_point_to_help(const struct lk_command *command)
{
	fprintf(stderr, "Try `lockkeeper %s --help'.\n", command->name);
	return LK_EXIT_USAGE;
}

void
lk_cli_help(const struct lk_command *command)
{
	printf("usage: lockkeeper %s %s\n%s.\n\n%s", command->name,
	    command->synopsis, command->summary, command->help);
}

char *
lk_cli_format(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	lk_assert(n >= 0);
	return text;
}
