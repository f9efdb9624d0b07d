/** The client: connect(). */
import { basename } from 'node:path';
import { awaiting } from './awaits.js';
import { here, inside, Task } from './context.js';
import { Core, PLAIN } from './core.js';
import { rows } from './cursor.js';
import { UsageError } from './errors.js';
import { Executor } from './executor.js';
import { Hub, Subscription } from './subscribe.js';
import { begin, inForce, Transaction } from './transaction.js';
import { Unit } from './unit.js';

const DEFAULT_PATH = '/run/lockkeeper/lockkeeper.sock';

/** Outside of all transactions, wherever its methods are called. */
class Autocommit extends Executor {
	#core;

	constructor(core) {
		super();
		this.#core = core;
	}

	ask(request, envelope = PLAIN) {
		return this.#core.autocommit(request, envelope);
	}

	transaction(call, options = {}) {
		return new Transaction(this.#core, null, options).run(call);
	}

	cursor(request, envelope = PLAIN) {
		return rows(this.#core, request, null, envelope);
	}
}

const PUSHES = ['lockwait', 'blocking', 'deadlock', 'txexpired', 'missed',
	'closing'];

/** One connection to the daemon for all of a program.  Calls are part of the
 * transaction in whose callback they are made, else each is its own. */
export class Lockkeeper extends Executor {
	#core;
	#hub;
	#outside;

	constructor(core) {
		super();
		this.#core = core;
		this.#hub = new Hub(core);
		this.#outside = new Autocommit(core);
	}

	/** Where requests go that name none. */
	get database() {
		return this.#core.database;
	}

	/** How many requests have no reply yet. */
	get nPending() {
		return this.#core.nPending;
	}

	async ask(request, envelope = PLAIN) {
		const tx = request.isForTransactions ? inForce(this.#core) : null;
		return tx === null ? this.#core.autocommit(request, envelope)
			: tx.ask(request, envelope);
	}

	cursor(request, envelope = PLAIN) {
		return rows(this.#core, request, inForce(this.#core), envelope);
	}

	// -- transactions

	/** What call(tx) gives, once that is committed; rolled back when it throws.
	 * A savepoint, where it is called in another one's callback. */
	async transaction(call, options = {}) {
		return new Transaction(this.#core, inForce(this.#core), options)
			.run(call);
	}

	/** One that is ended by hand: only its own methods are part of it. */
	begin(options = {}) {
		return begin(this.#core, options);
	}

	/** call() outside of the transaction that it would be in; or, without it,
	 * the same methods, for one call. */
	autocommit(call) {
		return call === undefined ? this.#outside
			: inside({ ...here(), tx: null }, call);
	}

	/** What call(unit) keeps, sent whole: the values of all its verbs. */
	async unit(call, options = {}) {
		if (inForce(this.#core) !== null)
			throw new UsageError('a unit is a transaction of its own and '
				+ 'cannot be inside another one: there it is a savepoint, '
				+ 'lk.transaction()');
		return new Unit(this.#core, options).run(call);
	}

	// -- tasks

	/** call(task) as a task of the daemon's; what it gives has a task, too. */
	task(call, { name = call.name } = {}) {
		const task = Task.named(name);
		const place = { ...here(), task, holds: null };
		const running = (async () => inside(place, call, task))();
		return Object.assign(running, { task });
	}

	/** A function each call of which is a task: for handlers of requests. */
	handler(call) {
		return (...args) => this.task(() => call(...args),
			{ name: call.name });
	}

	/** What lk.task() gave, and the daemon knows that this task awaits it. */
	awaiting(running, options) {
		return awaiting(this.#core, running, options);
	}

	// -- what the daemon says

	/** Messages of PostgreSQL's NOTIFY in these channels. */
	subscribe(...channels) {
		if (channels.length === 0)
			throw new UsageError('no channel to subscribe to');
		return new Subscription(this.#hub, channels);
	}

	/** Have it called with what the daemon says unasked: lockwait, blocking,
	 * deadlock, txexpired, missed or closing, see PUSHES in
	 * lockkeeper-protocol(7). */
	on(kind, listener) {
		if (!PUSHES.includes(kind))
			throw new UsageError(`the daemon never says ${kind}: it says ${
				PUSHES.join(', ')}`);
		this.#core.pushes.on(`push ${kind}`, listener);
		return this;
	}

	off(kind, listener) {
		this.#core.pushes.off(`push ${kind}`, listener);
		return this;
	}

	/** What is open ends: transactions are rolled back. */
	async close() {
		this.#core.close();
	}
}

const DEFAULTS = {
	database: undefined,
	name: undefined,
	connectTimeout: 10000,
	maxQueue: 64 * 1024 * 1024,
	int8: 'bigint',
	timestamptz: 'string',
};

const FORMS = { int8: ['bigint', 'number'], timestamptz: ['string', 'date'] };

function checked(options) {
	for (const [name, value] of Object.entries(options)) {
		if (!(name in DEFAULTS))
			throw new UsageError(`there is no option ${name}: there are ${
				Object.keys(DEFAULTS).join(', ')}`);
		if (name in FORMS && !FORMS[name].includes(value))
			throw new UsageError(`${name}: ${value} is none of ${
				FORMS[name].join(', ')}`);
	}
	return { ...DEFAULTS, ...options };
}

/**
 * A client of the daemon whose socket is at path, else the environment's
 * LOCKKEEPER_SOCKET, else where packages have it.  Once connected, it connects
 * again by itself; a call then waits for connectTimeout milliseconds.
 *
 * @param {string} [path]
 * @param {Partial<typeof DEFAULTS>} [options]
 */
export async function connect(path = process.env.LOCKKEEPER_SOCKET
	|| DEFAULT_PATH, options = {}) {
	const all = checked(options);
	const core = new Core({ ...all, path, name: all.name
		?? basename(process.argv[1] ?? 'node').slice(0, 60) });
	await core.connection.open();
	return new Lockkeeper(core);
}
