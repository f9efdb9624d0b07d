/**
 * Who asks: the task and the transaction of the chain of calls and awaits that
 * runs, kept by AsyncLocalStorage.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import { bulk } from './resp.js';

const OUTSIDE = Object.freeze({ task: null, tx: null });
const storage = new AsyncLocalStorage();

/** Names of tasks are this copy of the module's: see HELLO GROUP. */
export const group = `node-${randomBytes(6).toString('hex')}`;

/** @returns {{ task: Task | null, tx: import('./transaction.js').Transaction
 *	| null }} */
export const here = () => storage.getStore() ?? OUTSIDE;

/** Call it there: its awaits, timers and whatever it starts are there, too. */
export const inside = (task, tx, call, ...args) =>
	storage.run({ task, tx }, call, ...args);

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
	/** Transactions that it owns. */
	nTransactions = 0;
	/** What it has said that it awaits: see awaits.js. */
	awaited = new Set();
	#word;
	#nAsked = 0;	// requests outside transactions without a reply
	#nBranches = 0;

	/** @param {string} name */
	constructor(name) {
		this.name = unique(name || 'task');
		this.#word = bulk(`%${this.name}`);
	}

	asks(n) {
		this.#nAsked += n;
	}

	/**
	 * The envelope's word, for a request outside transactions.  What a task
	 * asks for at the same time is done at the same time: each by a task of
	 * its own.  But not while it has a transaction, for then the daemon is to
	 * see that whoever waits for that waits for the request.
	 */
	word() {
		return this.#nAsked === 0 || this.nTransactions > 0 ? this.#word
			: bulk(`%${this.name}.${++this.#nBranches}`);
	}
}
