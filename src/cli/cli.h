/*
 * The `lockkeeper` command: what its subcommands share.  One thread; messages
 * go to stderr, what was asked for to stdout.
 */
#ifndef LK_CLI_CLI_H
#define LK_CLI_CLI_H

#include <stdbool.h>

#include <lockkeeper.h>

#include "base/buf.h"
#include "base/die.h"

enum lk_exit {
	LK_EXIT_OK,
	LK_EXIT_FAILED,		/* an error reply, or it cannot be done */
	LK_EXIT_USAGE,		/* the command line is wrong */
};

struct lk_command {
	const char	*name;
	const char	*synopsis;	/* of its arguments */
	const char	*summary;	/* one line for `lockkeeper --help` */
	const char	*help;		/* options and notes, whole lines */
	/* argv[0] is "lockkeeper NAME", for getopt's messages. */
	enum lk_exit	(*run)(int argc, char **argv);
};

extern const struct lk_command lk_command_bench;
extern const struct lk_command lk_command_call;
extern const struct lk_command lk_command_dev;
extern const struct lk_command lk_command_sql;
extern const struct lk_command lk_command_status;

/* "lockkeeper: …" and a line end. */
void	lk_cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, with a pointer to --help; returns LK_EXIT_USAGE. */
enum lk_exit lk_cli_misuse(const struct lk_command *command,
	    const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* For options that getopt has complained about already. */
enum lk_exit lk_cli_point_to_help(const struct lk_command *command);
void	lk_cli_help(const struct lk_command *command);
/*
 * How to call us, for commands that we name to be typed next: as the user did,
 * in whatever directory the next terminal is.
 */
void	lk_cli_set_program(const char *argv0);
const char *lk_cli_program(void);

/* A formatted string on the heap; never NULL. */
char	*lk_cli_format(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2)));

#endif
