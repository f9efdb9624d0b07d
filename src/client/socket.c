#include "client/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
lk_socket_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	int fd, saved;

	if (n >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

pid_t
lk_thread_number(void)
{
	return gettid();
}

/* When the thread started, in the kernel's ticks; 0: not known. */
static unsigned long long
read_start(void)
{
	unsigned long long start = 0;
	char stat[1024], *p;
	ssize_t n = -1;
	int fd = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC), i;

	if (fd >= 0) {
		n = read(fd, stat, sizeof(stat) - 1);
		close(fd);
	}
	if (n <= 0)
		return 0;
	stat[n] = '\0';
	p = strrchr(stat, ')');		/* the name may hold anything */
	for (i = 2; p != NULL && i < 22; i++)
		p = strchr(p + 1, ' ');
	if (p != NULL)
		sscanf(p, " %llu", &start);
	return start;
}

void
lk_thread_text(char text[LK_THREAD_TEXT_BYTES])
{
	snprintf(text, LK_THREAD_TEXT_BYTES, "%d-%d-%llu", (int)getpid(),
	    (int)lk_thread_number(), read_start());
}
