/**
 * Who asks: the task and the transaction of the chain of calls and awaits that
 * runs, kept by AsyncLocalStorage.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { bulk } from './resp.js';

const OUTSIDE = Object.freeze({ task: null, tx: null, holds: null });
const storage = new AsyncLocalStorage();

/** Names of tasks are this copy of the module's: see HELLO GROUP. */
export const group = `node-${randomBytes(6).toString('hex')}`;

/**
 * The chain's task, its transaction, and the one of the task's in whose callback
 * it is, be it that it has left that by autocommit().
 *
 * @typedef {import('./transaction.js').Transaction} Transaction
 * @returns {{ task: Task | null, tx: Transaction | null,
 *	holds: Transaction | null }}
 */
export const here = () => storage.getStore() ?? OUTSIDE;

/** Call it there: its awaits, timers and whatever it starts are there, too. */
export const inside = (place, call, ...args) =>
	storage.run(place, call, ...args);

/** For what serves everybody. */
export const outside = (call) => storage.run(OUTSIDE, call);

const MAX_NAME = 200;
let nTasks = 0;

function unique(name) {
	// eslint-disable-next-line no-control-regex
	let plain = name.replace(/[\x00-\x1f\x7f]/g, '?').slice(0, MAX_NAME);
	while (Buffer.byteLength(plain) > MAX_NAME)
		plain = plain.slice(0, -1);
	return `${plain}/${++nTasks}`;
}

/** A task of the daemon's: what is done by it is done in turn. */
export class Task {
	/** Requests without a reply, and transactions that it owns. */
	nBusy = 0;
	/** What it has said that it awaits: see awaits.js. */
	awaited = new Set();
	#nBranches = 0;

	/** @param {string} name that no other task has */
	constructor(name) {
		this.name = name;
		/** The envelope's. */
		this.word = bulk(`%${name}`);
	}

	/** @param {string} name also that of others */
	static named(name) {
		return new Task(unique(name || 'task'));
	}

	/** One that is called after it, for what it does beside other things. */
	branch() {
		return new Task(`${this.name}.${++this.#nBranches}`);
	}
}

/**
 * Whose request or transaction it is that is begun here; null: nobody's.  What
 * a task does at the same time is done by tasks of their own, since nobody knows
 * what it waits for.  But a chain that holds a transaction asks as who owns
 * that, so that the daemon sees that whoever waits for the one waits for the
 * other.
 */
export function asker() {
	const { task, holds } = here();
	return task === null || holds?.isOpen || task.nBusy === 0 ? task
		: task.branch();
}
