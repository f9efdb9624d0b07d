/* Finds the subcommand and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/text.h"

static const struct lk_command *const commands[] = {
	&lk_command_dev,
	&lk_command_call,
	&lk_command_sql,
	&lk_command_status,
	&lk_command_bench,
};

#define N_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void
print_help(void)
{
	size_t i;

	printf("usage: lockkeeper COMMAND [OPTION…] [ARG…]\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i]->name, commands[i]->summary);
	printf("\n"
	    "lockkeeper COMMAND --help   says more about one of them\n"
	    "lockkeeper --version        prints the version\n"
	    "Manual: lockkeeper(1)\n");
}

static enum lk_exit
run_command(const struct lk_command *command, int argc, char **argv)
{
	char *name = lk_cli_format("lockkeeper %s", command->name);
	enum lk_exit code;

	argv[0] = name;
	code = command->run(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		lk_cli_say("cannot write to standard output");
		code = LK_EXIT_FAILED;
	}
	free(name);
	return code;
}

static enum lk_exit
run_word(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	    strcmp(word, "help") == 0) {
		print_help();
		return LK_EXIT_OK;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		printf("lockkeeper %s\n", lk_version());
		return LK_EXIT_OK;
	}
	lk_cli_say(word[0] == '-' ? "unknown option %s" :
	    "unknown command \"%s\"", word);
	fprintf(stderr, "Try `lockkeeper --help'.\n");
	return LK_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	size_t i;

	lk_text_init();
	lk_cli_set_program(argv[0]);
	if (argc < 2) {
		lk_cli_say("no command given");
		fprintf(stderr, "Try `lockkeeper --help'.\n");
		return LK_EXIT_USAGE;
	}
	for (i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i]->name) == 0)
			return (int)run_command(commands[i], argc - 1,
			    argv + 1);
	}
	return (int)run_word(argv[1]);
}
