/* Finds what `lockkeeper dev` does not bring along. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dev.h"

#ifndef LK_PG_BINDIR
#define LK_PG_BINDIR	""
#endif

static bool
is_program(const char *dir, const char *name)
{
	char *path = lk_cli_format("%s/%s", dir, name);
	bool is = access(path, X_OK) == 0;

	free(path);
	return is;
}

static bool
is_bindir(const char *dir)
{
	return dir[0] == '/' && is_program(dir, "initdb") &&
	    is_program(dir, "postgres");
}

/* ---- PostgreSQL ---- */

/* The program called name on $PATH, or NULL; heap. */
static char *
find_on_path(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char *dir, *found = NULL;

	while (path != NULL && *path != '\0' && found == NULL) {
		end = strchrnul(path, ':');
		dir = lk_cli_format("%.*s", (int)(end - path), path);
		if (dir[0] == '/' && is_program(dir, name))
			found = lk_cli_format("%s/%s", dir, name);
		free(dir);
		path = *end == ':' ? end + 1 : NULL;
	}
	return found;
}

/* What `pg_config --bindir` says, or NULL; heap. */
static char *
ask_pg_config(void)
{
	char *program = find_on_path("pg_config"), said[PATH_MAX];
	const char *argv[] = { program, "--bindir", NULL };
	struct lk_process process = { argv, NULL, "/", -1, -1, 0 };
	ssize_t n = 0;
	int pipe_fds[2] = { -1, -1 }, status;
	pid_t pid;

	if (program == NULL || pipe2(pipe_fds, O_CLOEXEC) < 0)
		goto out;
	process.out_fd = pipe_fds[1];
	pid = lk_process_start(&process);
	close(pipe_fds[1]);
	if (pid > 0) {
		n = read(pipe_fds[0], said, sizeof(said) - 1);
		lk_process_wait(&pid, &status);
	}
	close(pipe_fds[0]);
out:
	free(program);
	if (n <= 0)
		return NULL;
	said[n] = '\0';
	said[strcspn(said, "\n")] = '\0';
	return lk_xstrdup(said);
}

/* Where Debian keeps the versions side by side; heap or NULL. */
static char *
find_newest(void)
{
	static const char root[] = "/usr/lib/postgresql/";
	long newest = 0, version;
	glob_t dirs;
	char *found = NULL;
	size_t i;

	if (glob("/usr/lib/postgresql/[0-9]*/bin", 0, NULL, &dirs) != 0)
		return NULL;
	for (i = 0; i < dirs.gl_pathc; i++) {
		version = strtol(dirs.gl_pathv[i] + sizeof(root) - 1, NULL, 10);
		if (version > newest && is_bindir(dirs.gl_pathv[i])) {
			newest = version;
			free(found);
			found = lk_xstrdup(dirs.gl_pathv[i]);
		}
	}
	globfree(&dirs);
	return found;
}

char *
lk_dev_find_bindir(void)
{
	const char *named = getenv("PG_BINDIR");
	char *dir;

	if (named != NULL && named[0] != '\0') {
		if (is_bindir(named))
			return lk_xstrdup(named);
		lk_cli_say("PG_BINDIR is %s, but initdb and postgres are not "
		    "there", named);
		return NULL;
	}
	if (is_bindir(LK_PG_BINDIR))
		return lk_xstrdup(LK_PG_BINDIR);
	dir = ask_pg_config();
	if (dir != NULL && is_bindir(dir))
		return dir;
	free(dir);
	dir = find_newest();
	if (dir == NULL)
		lk_cli_say("no PostgreSQL server on this machine: install it "
		    "(Debian: apt-get install postgresql), or say in PG_BINDIR "
		    "where initdb and postgres are");
	return dir;
}

/* ---- the daemon ---- */

char *
lk_dev_find_daemon(void)
{
	static const char *const beside[] = { ".", "../sbin", "../daemon" };
	char self[PATH_MAX], *slash, *path;
	ssize_t n;
	size_t i;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	for (i = 0; slash != NULL && i < sizeof(beside) / sizeof(*beside);
	    i++) {
		path = lk_cli_format("%s/%s/lockkeeperd", self, beside[i]);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	path = find_on_path("lockkeeperd");
	if (path == NULL)
		lk_cli_say("lockkeeperd is neither beside this program (%s) "
		    "nor on $PATH", self);
	return path;
}

/* ---- left-over processes ---- */

static bool
lives_in(const char *pid, const char *dir)
{
	char *path = lk_cli_format("/proc/%s/cwd", pid);
	char cwd[PATH_MAX];
	ssize_t n = readlink(path, cwd, sizeof(cwd) - 1);

	free(path);
	if (n <= 0)
		return false;
	cwd[n] = '\0';
	return strcmp(cwd, dir) == 0;
}

static bool
is_postgres(const char *pid)
{
	char *path = lk_cli_format("/proc/%s/comm", pid);
	FILE *file = fopen(path, "re");
	char name[32] = "";

	free(path);
	if (file == NULL)
		return false;
	if (fgets(name, sizeof(name), file) == NULL)
		name[0] = '\0';
	fclose(file);
	return strncmp(name, "postgres", 8) == 0;
}

/* The server and all its children have the data directory as their own. */
size_t
lk_dev_count_postgres(const char *data)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    lives_in(entry->d_name, data) &&
		    is_postgres(entry->d_name))
			n++;
	}
	if (proc != NULL)
		closedir(proc);
	return n;
}
