/* The directory of `lockkeeper dev`: its files, their owner, its lock. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/dev.h"
#include "cli/session.h"

/* The longer of the two sockets' names. */
#define LONGEST_SOCKET	"/lockkeeper.sock"
#define LOG_TAIL_BYTES	1500

void
lk_dev_init(struct lk_dev *dev)
{
	memset(dev, 0, sizeof(*dev));
	dev->lock_fd = -1;
}

void
lk_dev_fini(struct lk_dev *dev)
{
	free(dev->dir);
	free(dev->data);
	free(dev->run);
	free(dev->socket);
	free(dev->config);
	free(dev->postgres_log);
	free(dev->daemon_log);
	free(dev->server_version);
	free(dev->owner.name);
	if (dev->lock_fd >= 0)
		close(dev->lock_fd);
	lk_dev_init(dev);
}

/* ---- names ---- */

/* A name of fixed length for a directory whose own is too long (FNV-1a). */
static char *
short_run_dir(const char *dir)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *dir != '\0'; dir++)
		hash = (hash ^ (unsigned char)*dir) * 0x100000001b3ULL;
	return lk_cli_format("/tmp/lockkeeper-%u-%016llx",
	    (unsigned)geteuid(), (unsigned long long)hash);
}

static void
name_files(struct lk_dev *dev)
{
	struct sockaddr_un address;

	dev->data = lk_cli_format("%s/data", dev->dir);
	dev->config = lk_cli_format("%s/lockkeeper.conf", dev->dir);
	dev->postgres_log = lk_cli_format("%s/postgres.log", dev->dir);
	dev->daemon_log = lk_cli_format("%s/lockkeeperd.log", dev->dir);
	dev->run = lk_cli_format("%s/run", dev->dir);
	if (strlen(dev->run) + sizeof(LONGEST_SOCKET) >
	    sizeof(address.sun_path)) {
		free(dev->run);
		dev->run = short_run_dir(dev->dir);
	}
	dev->socket = lk_cli_format("%s%s", dev->run, LONGEST_SOCKET);
}

static int
fail(const char *what, const char *path)
{
	lk_cli_say("cannot %s %s: %s", what, path, strerror(errno));
	return -1;
}

/*
 * Parents and all.  As root others may pass, since PostgreSQL will run as
 * somebody else; a private umask must not undo that.
 */
static int
make_path(const char *path)
{
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	char *part = lk_xstrdup(path), *slash = part;
	int rc = 0;

	while (rc == 0 && slash != NULL) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(part, mode) == 0)
			rc = chmod(part, mode);
		else if (errno != EEXIST)
			rc = -1;
		if (rc < 0)
			rc = fail("make", part);
		if (slash != NULL)
			*slash = '/';
	}
	free(part);
	return rc;
}

int
lk_dev_set_dir(struct lk_dev *dev, const char *dir, bool must_exist)
{
	const char *p;

	if (!must_exist && make_path(dir) < 0)
		return -1;
	dev->dir = realpath(dir, NULL);
	if (dev->dir == NULL)
		return fail("find", dir);
	for (p = dev->dir; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ') {
			lk_cli_say("%s: a directory whose name has control "
			    "characters cannot be used", dir);
			return -1;
		}
	}
	name_files(dev);
	return 0;
}

/* ---- owner ---- */

static int
set_owner(struct lk_dev *dev, const struct passwd *account)
{
	dev->owner.uid = account->pw_uid;
	dev->owner.gid = account->pw_gid;
	dev->owner.name = lk_xstrdup(account->pw_name);
	return 0;
}

/*
 * PostgreSQL refuses to run as root.  A cluster that exists stays its owner's,
 * even when a better account has come to the machine since.
 */
static int
find_owner(struct lk_dev *dev)
{
	struct passwd *account = NULL;
	struct stat data;
	bool has_data = stat(dev->data, &data) == 0;

	if (geteuid() != 0) {
		if (!has_data || data.st_uid == geteuid())
			return 0;
		lk_cli_say("%s belongs to another user; choose another "
		    "directory with --dir", dev->data);
		return -1;
	}
	if (has_data && data.st_uid != 0)
		account = getpwuid(data.st_uid);
	if (account == NULL)
		account = getpwnam("postgres");
	if (account == NULL)
		account = getpwnam("nobody");
	if (account != NULL && account->pw_uid != 0)
		return set_owner(dev, account);
	lk_cli_say("PostgreSQL does not run as root, and there is neither a "
	    "user postgres nor nobody to run it as");
	return -1;
}

static const struct lk_user *
owner_of(const struct lk_dev *dev)
{
	return dev->owner.name != NULL ? &dev->owner : NULL;
}

/* Runs as the owner: 1, and said why, when a part of the path is closed. */
static int
check_passage(const void *arg)
{
	const struct lk_dev *dev = arg;
	char *part = lk_cli_format("%s/", dev->dir), *slash = part;
	int rc = 0;

	while (rc == 0 && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		if (access(part, X_OK) < 0) {
			lk_cli_say("PostgreSQL runs as user %s, who may not "
			    "enter %s: choose another --dir, or `chmod o+x "
			    "%s'", dev->owner.name, part, part);
			rc = 1;
		}
		*slash = '/';
	}
	free(part);
	return rc;
}

/* Private to the owner: whoever reaches PostgreSQL's socket is its master. */
static int
make_run_dir(struct lk_dev *dev)
{
	uid_t uid = dev->owner.name != NULL ? dev->owner.uid : geteuid();
	struct stat run;

	if (mkdir(dev->run, 0700) == 0) {
		if (dev->owner.name != NULL &&
		    chown(dev->run, uid, dev->owner.gid) < 0)
			return fail("give away", dev->run);
	} else if (errno != EEXIST) {
		return fail("make", dev->run);
	}
	if (lstat(dev->run, &run) < 0)
		return fail("look at", dev->run);
	if (!S_ISDIR(run.st_mode) || run.st_uid != uid ||
	    (run.st_mode & 077) != 0) {
		lk_cli_say("%s is not a directory for its owner alone; remove "
		    "it", dev->run);
		return -1;
	}
	return 0;
}

int
lk_dev_prepare_dir(struct lk_dev *dev)
{
	if (find_owner(dev) < 0)
		return -1;
	if (dev->owner.name != NULL &&
	    lk_process_call(owner_of(dev), check_passage, dev) != 0)
		return -1;
	return make_run_dir(dev);
}

/* ---- lock ---- */

static char *
lock_path(const struct lk_dev *dev)
{
	return lk_cli_format("%s/dev.lock", dev->dir);
}

pid_t
lk_dev_find_running(const struct lk_dev *dev)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *path = lock_path(dev);
	pid_t pid = 0;
	int fd;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) {
		pid = fail("open", path);
	} else if (fd >= 0) {
		if (fcntl(fd, F_GETLK, &lock) < 0)
			pid = fail("look at the lock of", path);
		else if (lock.l_type != F_UNLCK)
			pid = lock.l_pid;
		close(fd);
	}
	free(path);
	return pid;
}

int
lk_dev_lock(struct lk_dev *dev)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *path = lock_path(dev);
	int rc = 0, fd;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = fail("open", path);
	} else if (fcntl(fd, F_SETLK, &lock) < 0) {
		if (errno != EACCES && errno != EAGAIN) {
			rc = fail("lock", path);
		} else {
			fcntl(fd, F_GETLK, &lock);
			lk_cli_say("one is running already in %s (process "
			    "%d), its socket is %s", dev->dir,
			    (int)lock.l_pid, dev->socket);
			rc = -1;
		}
		close(fd);
	} else {
		dev->lock_fd = fd;
	}
	free(path);
	return rc;
}

/* ---- logs ---- */

int
lk_dev_open_log(const char *path, off_t *size_out)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct stat log;

	*size_out = 0;
	if (fd < 0)
		return fail("open", path);
	if (fstat(fd, &log) == 0)
		*size_out = log.st_size;
	return fd;
}

void
lk_dev_print_log(const char *path, off_t from)
{
	char bytes[LOG_TAIL_BYTES];
	struct stat log;
	ssize_t n = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &log) == 0) {
		if (log.st_size - from > LOG_TAIL_BYTES)
			from = log.st_size - LOG_TAIL_BYTES;
		n = pread(fd, bytes, sizeof(bytes), from);
	}
	if (n > 0)
		fprintf(stderr, "---- the end of %s:\n%.*s%s", path, (int)n,
		    bytes, bytes[n - 1] == '\n' ? "" : "\n");
	close(fd);
}
