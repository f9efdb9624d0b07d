/* How commands without -s find a running `lockkeeper dev`. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dev.h"
#include "cli/session.h"

/*
 * By rename, so that there is no moment without one.  That the folder may be
 * missing or closed is no reason not to serve: then it takes -s.
 */
void
lk_dev_link(const struct lk_dev *dev)
{
	char *path = lk_session_dev_link(), *fresh;

	if (path == NULL)
		return;
	fresh = lk_cli_format("%s.%d", path, (int)getpid());
	unlink(fresh);
	if (symlink(dev->socket, fresh) == 0 && rename(fresh, path) < 0)
		unlink(fresh);
	free(fresh);
	free(path);
}

void
lk_dev_unlink(const struct lk_dev *dev)
{
	char *path = lk_session_dev_link();
	char target[PATH_MAX];
	ssize_t n;

	if (path == NULL)
		return;
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		if (strcmp(target, dev->socket) == 0)
			unlink(path);
	}
	free(path);
}
