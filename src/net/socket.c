#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel takes the smaller of this and net.core.somaxconn. */
#define BACKLOG	4096

static int
fail(struct lk_error *error, const char *path, const char *what)
{
	lk_error_set(error, LK_ERR_SYNTAX, "listen.socket: %s: %s", path, what);
	return -LK_E_IO;
}

static int
fill_address(const char *path, struct sockaddr_un *address,
    struct lk_error *error)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return fail(error, path, "the path is longer than a Unix "
		    "socket's can be (107 bytes)");
	strcpy(address->sun_path, path);
	return 0;
}

static int
find_group(const char *group, gid_t *gid_out, struct lk_error *error)
{
	const struct group *entry = getgrnam(group);
	unsigned long number;
	char *end;

	if (entry != NULL) {
		*gid_out = entry->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(group, &end, 10);
	if (*group < '0' || *group > '9' || *end != '\0' || errno != 0 ||
	    number >= (gid_t)-1) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "listen.group: there is no group \"%s\"", group);
		return -LK_E_IO;
	}
	*gid_out = (gid_t)number;
	return 0;
}

/* Whether the file in our place is a socket that nobody listens on. */
static int
check_stale(const struct sockaddr_un *address, struct lk_error *error)
{
	struct stat st;
	int fd, rc, reason;

	if (lstat(address->sun_path, &st) < 0)
		return fail(error, address->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(error, address->sun_path,
		    "a file that is no socket is in the way");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(error, address->sun_path, strerror(errno));
	rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	reason = errno;
	close(fd);
	if (rc == 0 || reason == EAGAIN)
		return fail(error, address->sun_path,
		    "another process is listening there");
	if (reason != ECONNREFUSED)
		return fail(error, address->sun_path, strerror(reason));
	return 0;
}

/* Nobody but us may connect until the group and mode are those asked for. */
static int
bind_privately(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	int reason = errno;

	umask(before);
	errno = reason;
	return rc;
}

static int
bind_address(struct lk_socket *sock, const struct sockaddr_un *address,
    struct lk_error *error)
{
	int rc;

	if (bind_privately(sock->fd, address) == 0)
		return 0;
	if (errno == ENOENT)
		return fail(error, address->sun_path,
		    "the folder it is to be in does not exist");
	if (errno != EADDRINUSE)
		return fail(error, address->sun_path, strerror(errno));
	rc = check_stale(address, error);
	if (rc < 0)
		return rc;
	if (unlink(address->sun_path) < 0 ||
	    bind_privately(sock->fd, address) < 0)
		return fail(error, address->sun_path, strerror(errno));
	return 0;
}

static int
open_to_others(struct lk_socket *sock, mode_t mode, const char *group,
    struct lk_error *error)
{
	struct stat st;
	gid_t gid;

	if (lstat(sock->path, &st) < 0)
		return fail(error, sock->path, strerror(errno));
	sock->dev = st.st_dev;
	sock->ino = st.st_ino;
	if (*group != '\0') {
		if (find_group(group, &gid, error) < 0)
			return -LK_E_IO;
		if (lchown(sock->path, (uid_t)-1, gid) < 0)
			return fail(error, sock->path, strerror(errno));
	}
	if (listen(sock->fd, BACKLOG) < 0 || chmod(sock->path, mode) < 0)
		return fail(error, sock->path, strerror(errno));
	return 0;
}

int
lk_socket_open(struct lk_socket *sock, const char *path, mode_t mode,
    const char *group, struct lk_error *error)
{
	struct sockaddr_un address;
	int rc = fill_address(path, &address, error);

	*sock = (struct lk_socket){ .fd = -1, .path = path };
	if (rc < 0)
		return rc;
	sock->fd = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0)
		return fail(error, path, strerror(errno));
	rc = bind_address(sock, &address, error);
	if (rc == 0)
		rc = open_to_others(sock, mode, group, error);
	if (rc < 0)
		lk_socket_close(sock);
	return rc;
}

static int
option_of(int fd, int option)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

int
lk_socket_inherit(struct lk_socket *sock, int fd, struct lk_error *error)
{
	int flags = fcntl(fd, F_GETFL);

	*sock = (struct lk_socket){ .fd = -1 };
	if (flags < 0 || option_of(fd, SO_DOMAIN) != AF_UNIX ||
	    option_of(fd, SO_TYPE) != SOCK_STREAM ||
	    option_of(fd, SO_ACCEPTCONN) != 1) {
		lk_error_set(error, LK_ERR_SYNTAX, "the inherited descriptor "
		    "%d is no listening Unix stream socket: use ListenStream= "
		    "with a path", fd);
		return -LK_E_IO;
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return fail(error, "inherited", strerror(errno));
	sock->fd = fd;
	return 0;
}

void
lk_socket_close(struct lk_socket *sock)
{
	struct stat st;

	if (sock->fd < 0)
		return;
	close(sock->fd);
	sock->fd = -1;
	if (sock->ino != 0 && lstat(sock->path, &st) == 0 &&
	    st.st_dev == sock->dev && st.st_ino == sock->ino)
		unlink(sock->path);
}
