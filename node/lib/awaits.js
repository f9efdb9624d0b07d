/**
 * Which task awaits which, told to the daemon by hand: Node has no public way to
 * see it.  Only what is certain is said: while a task awaits in several places
 * at once, of which nobody knows whether one would do, nothing is.
 */
import { here } from './context.js';
import { UsageError } from './errors.js';

function tell(core, task) {
	const [only, another] = task.awaited;
	const more = only === undefined || another !== undefined ? []
		: [only.isAny ? 'ANY' : 'ALL', ...only.tasks.map(({ name }) => name)];
	core.connection.post('AWAIT', task.name, ...more);
}

/**
 * @param {import('./core.js').Core} core
 * @param {any} running what lk.task() gave, or an array of them
 * @param {{ any?: boolean }} options any: until the first is done
 */
export async function awaiting(core, running, { any: isAny = false } = {}) {
	const all = Array.isArray(running) ? running : [running];
	if (all.length === 0 || all.some((each) => each?.task === undefined))
		throw new UsageError('what lk.task() gives can be awaited so');
	const { task } = here();
	const awaited = { isAny, tasks: all.map((each) => each.task) };
	task?.awaited.add(awaited);
	if (task !== null)
		tell(core, task);
	try {
		return await (!Array.isArray(running) ? running
			: isAny ? Promise.race(all) : Promise.all(all));
	} finally {
		task?.awaited.delete(awaited);
		if (task !== null)
			tell(core, task);
	}
}
