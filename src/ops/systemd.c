#include "ops/systemd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define FIRST_FD	3	/* SD_LISTEN_FDS_START */

static unsigned long
number_in(const char *variable)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoul(text, NULL, 10) : 0;
}

int
lk_systemd_socket(int *fd_out, struct lk_error *error)
{
	unsigned long n = number_in("LISTEN_FDS");
	/* Meant for whoever started us, perhaps. */
	int is_ours = number_in("LISTEN_PID") == (unsigned long)getpid();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	*fd_out = -1;
	if (!is_ours || n == 0)
		return 0;
	if (n > 1) {
		lk_error_set(error, LK_ERR_SYNTAX, "%lu sockets were handed on "
		    "in LISTEN_FDS: give the socket unit one ListenStream=", n);
		return -LK_E_INVAL;
	}
	*fd_out = FIRST_FD;
	return 0;
}

/* A path, or a name in the abstract namespace, which is written with an @. */
static socklen_t
fill_address(struct sockaddr_un *address, const char *name)
{
	size_t n = strlen(name);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if ((name[0] != '/' && name[0] != '@') || n < 2 ||
	    n >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, name, n);
	if (name[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static void
send_text(const char *text, size_t n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t n_address;
	int fd;

	if (name == NULL)
		return;
	n_address = fill_address(&address, name);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (n_address > 0)
		(void)sendto(fd, text, n, MSG_NOSIGNAL,
		    (const struct sockaddr *)&address, n_address);
	close(fd);
}

void
lk_systemd_notify(const char *fmt, ...)
{
	struct lk_buf text = LK_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (!text.broken)
		send_text(text.data, text.len);
	lk_buf_fini(&text);
}

void
lk_systemd_notify_reloading(void)
{
	lk_systemd_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    lk_clock_us());
}
