/* The log writer: one thread that empties base/log.h's ring to stderr. */
#ifndef LK_OPS_LOGSINK_H
#define LK_OPS_LOGSINK_H

/* 0, or -LK_E_IO: then records go on straight to stderr. */
int	lk_logsink_start(void);
/*
 * Write what is left and end the thread; does nothing when there is none.
 * Waits two seconds at most: when stderr takes nothing, the rest is lost.
 */
void	lk_logsink_stop(void);

#endif
