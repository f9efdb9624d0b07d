/* The operating system's part of a connection. */
#ifndef LK_CLIENT_SOCKET_H
#define LK_CLIENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where a socket's path may be at most this long, its NUL included. */
#define LK_SOCKET_PATH_BYTES	108

/* A connected, non-blocking socket; -1 and errno, EAGAIN for "soon". */
int	lk_socket_connect(const char *path);

#define LK_THREAD_TEXT_BYTES	64

/* The calling thread's number: another thread's is another one. */
pid_t	lk_thread_number(void);
/* A text that no other thread of this host says, dead ones included. */
void	lk_thread_text(char text[LK_THREAD_TEXT_BYTES]);

#endif
