/* Tasks, as their connection sees them. */
#ifndef LK_CLIENT_TASK_H
#define LK_CLIENT_TASK_H

#include "base/list.h"

/* The connection of these tasks goes away. */
void	lk_tasks_lose(struct lk_list *tasks);

#endif
