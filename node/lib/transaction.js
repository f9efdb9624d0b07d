/**
 * Transactions, their savepoints, and who is in them.
 *
 * A transaction belongs to the task that began it.  Calls of the client in the
 * chain of calls and awaits that its callback begins are part of it.  When it
 * has ended they throw TransactionEnded, and in another task that was begun
 * there TransactionNotInherited: on their own they would be carried out outside,
 * unseen.
 */
import { asker, here, inside, Task } from './context.js';
import { PLAIN } from './core.js';
import { rows } from './cursor.js';
import { ConnlostError, LockkeeperError, TransactionEnded,
	TransactionNotInherited, UsageError } from './errors.js';
import { Executor } from './executor.js';
import { bulk, ErrorReply } from './resp.js';
import { asItIs, nothing, Request } from './words.js';

const ISOLATIONS = ['read committed', 'repeatable read', 'serializable'];
const OPTIONS = ['isolation', 'readOnly', 'deferrable', 'database', 'signal'];

/** The client's transaction that a call made here is part of, or null. */
export function inForce(core) {
	const { task, tx: innermost } = here();
	let tx = innermost;
	while (tx !== null && tx.core !== core)
		tx = tx.outer;
	tx?.checkCaller(task);
	return tx;
}

function checked(options, parent) {
	for (const name of Object.keys(options)) {
		if (!OPTIONS.includes(name))
			throw new UsageError(`there is no option ${name}: there are ${
				OPTIONS.join(', ')}`);
	}
	const { isolation, readOnly, deferrable, database = null } = options;
	if (isolation !== undefined
		&& !ISOLATIONS.includes(isolation.toLowerCase()))
		throw new UsageError(`${JSON.stringify(isolation)} is no isolation: `
			+ `there are ${ISOLATIONS.join(', ')}`);
	if (parent !== null && (isolation || readOnly || deferrable))
		throw new UsageError('a savepoint has the isolation of its '
			+ 'transaction');
	if (parent !== null && database !== null
		&& database !== (parent.database ?? parent.core.database))
		throw new UsageError('a savepoint is in its transaction\'s database, '
			+ `not in ${database}`);
	return options;
}

/** A transaction, or a savepoint in one. */
export class Transaction extends Executor {
	#core;
	#parent;
	#root;
	#options;
	#state = 'new';			// then open, and ended
	#savepoint = '';
	#child = null;			// the savepoint in it that is open
	#letGo = () => {};		// of the parent, whose child this is
	#isGone = null;			// resolves when that is done
	#running = new Set();		// requests without a reply
	// The root's:
	#owner = null;
	#connection = null;
	#handle = 0;
	#generation = 0;
	#word = '';
	#nSavepoints = 0;
	/** Whose block encloses this one's, whosever client's it is. */
	outer = null;

	/** See lk.transaction(). */
	constructor(core, parent, options) {
		super();
		this.#core = core;
		this.#parent = parent;
		this.#root = parent === null ? this : parent.#root;
		this.#options = checked(options, parent);
	}

	get core() {
		return this.#core;
	}

	get isOpen() {
		return this.#state === 'open'
			&& (this.#parent === null || this.#parent.isOpen);
	}

	/** The daemon's number for it, as SHOW transactions has it. */
	get handle() {
		return this.#root.#handle;
	}

	/** By which it goes, all of it. */
	get connection() {
		return this.#root.#connection;
	}

	/** What ends it, or what it is in. */
	get #signal() {
		return this.#options.signal ?? this.#parent?.#signal ?? null;
	}

	/** null: the connection's. */
	get database() {
		return this.#root.#options.database ?? null;
	}

	/** The task that it belongs to, once it is begun. */
	get task() {
		return this.#root.#owner;
	}

	// -- who is in it

	/** Of a call through the client, which must not escape. */
	checkCaller(task) {
		if (task !== this.task)
			throw new TransactionNotInherited('the task was begun inside a '
				+ `transaction of ${this.task?.name}, which it does not `
				+ 'own: call tx\'s own methods to be in it, or '
				+ 'lk.autocommit() to be outside');
		this.#checkOpen();
	}

	#checkOpen() {
		if (!this.isOpen)
			throw new TransactionEnded(this.#state === 'new'
				? 'the transaction has not been begun'
				: 'the transaction that the call would be part of has ended: '
					+ 'lk.autocommit() is outside of it');
	}

	/** Whether a savepoint is open in it that the caller is not in: its turn
	 * comes when #child.#isGone. */
	#isTaken() {
		return this.#child !== null && !this.#child.#isCaller();
	}

	/** The savepoint in it that the caller is in, or itself. */
	#innermost() {
		return this.#child === null || this.#isTaken() ? this
			: this.#child.#innermost();
	}

	#isCaller() {
		let { tx } = here();
		while (tx !== null && tx !== this)
			tx = tx.outer;
		return tx !== null;
	}

	// -- requests

	async ask(request, envelope = PLAIN) {
		while (this.#isTaken())
			await this.#child.#isGone;
		this.#checkOpen();
		const { database } = envelope;
		if (database !== null && database !== (this.database
			?? this.#core.database))
			throw new UsageError('the transaction is in another database than '
				+ `${database}: lk.autocommit() leaves it`);
		const signal = envelope.signal ?? this.#signal;
		const reply = await this.#raw(request, { ...envelope, signal });
		if (reply instanceof ErrorReply)
			throw reply.exception();
		return this.#core.take(reply, request, this.database,
			(other) => this.#raw(other));
	}

	#raw(request, { n, text, signal } = PLAIN, mayCommit = false) {
		const root = this.#root;
		// Nothing of it goes by another connection.
		if (root.#generation !== root.#connection.generation)
			throw new ConnlostError('the connection has ended, and the '
				+ 'transaction with it');
		return this.#core.exchange(root.#connection, { n: n + 1,
			text: text + root.#word, signal }, request,
		{ mayCommit, running: this.#running });
	}

	cursor(request, envelope = PLAIN) {
		return rows(this.#core, request, this, envelope);
	}

	/** A savepoint, which ends with the callback. */
	transaction(call, options = {}) {
		return new Transaction(this.#core, this.#innermost(), options)
			.run(call);
	}

	// -- beginning and ending

	async #begin(connection) {
		const { isolation, readOnly, deferrable, signal } = this.#options;
		const words = [...isolation?.toUpperCase().split(' ') ?? [],
			...readOnly ? ['READ', 'ONLY'] : [],
			...deferrable ? ['DEFERRABLE'] : []];
		const database = this.database === null ? ''
			: bulk(`/${this.database}`);
		signal?.throwIfAborted();
		const reply = await this.#core.exchange(connection, {
			n: database === '' ? 1 : 2,
			text: this.#owner.word + database, signal: null,
		}, new Request('BEGIN', words, asItIs));
		if (reply instanceof ErrorReply)
			throw reply.exception();
		this.#connection = connection;
		this.#generation = connection.generation;
		this.#handle = reply;
		this.#word = bulk(`#${reply}`);
	}

	async #setSavepoint() {
		const parent = this.#parent;
		while (parent.#isTaken())
			await parent.#child.#isGone;
		parent.#checkOpen();
		parent.#child = this;
		this.#isGone = new Promise((resolve) => {
			this.#letGo = () => {
				if (parent.#child === this)
					parent.#child = null;
				resolve();
			};
		});
		this.#savepoint = `lk_${++this.#root.#nSavepoints}`;
		try {
			await this.#do('SAVEPOINT', this.#savepoint);
		} catch (error) {
			this.#letGo();
			throw error;
		}
	}

	/** @param {any} connection for one that is not the client's */
	async start(connection = this.#core.connection, name = 'transaction') {
		if (this.#parent === null) {
			this.#owner = asker() ?? Task.named(name);
			this.#owner.nBusy++;
			try {
				await this.#begin(connection);
			} catch (error) {
				this.#owner.nBusy--;
				throw error;
			}
		} else {
			await this.#setSavepoint();
		}
		this.#state = 'open';
	}

	#end() {
		if (this.#state === 'open' && this.#parent === null) {
			this.#owner.nBusy--;
			forgotten.unregister(this);
		}
		this.#state = 'ended';
	}

	async #do(verb, ...args) {
		const reply = await this.#raw(new Request(verb, args, nothing), PLAIN,
			verb === 'COMMIT');
		if (reply instanceof ErrorReply)
			throw reply.exception();
	}

	async commit() {
		this.#checkOpen();
		if (this.#child !== null)
			throw new UsageError('a savepoint is still open in the '
				+ 'transaction: await what transaction() gives');
		this.#end();
		try {
			if (this.#parent === null)
				await this.#do('COMMIT');
			else
				await this.#do('RELEASE', this.#savepoint);
		} catch (error) {
			// What is left of it goes.  Where it was committed all the same,
			// the daemon knows no such transaction.
			if (this.#parent === null)
				this.#post('ROLLBACK');
			throw error;
		} finally {
			this.#letGo();
		}
	}

	/** Also early: the client's calls behind that are errors, and the
	 * callback's end is none. */
	async rollback() {
		this.#checkOpen();
		this.#end();
		try {
			if (this.#parent === null) {
				await this.#do('ROLLBACK');
			} else {
				await this.#do('ROLLBACK', 'TO', this.#savepoint);
				await this.#do('RELEASE', this.#savepoint);
			}
		} finally {
			this.#letGo();
		}
	}

	#post(...words) {
		const root = this.#root;
		if (root.#generation === root.#connection.generation)
			root.#connection.post(`#${root.#handle}`, ...words);
	}

	/** Roll back, without what is under way in it. */
	async #giveUp() {
		this.#cancelAll();
		try {
			await this.rollback();
		} catch (error) {
			// The daemon has ended it already, or will at once.
			if (!(error instanceof LockkeeperError))
				throw error;
		}
	}

	#cancelAll() {
		for (const pending of this.#running)
			this.connection.cancel(pending);
		this.#child?.#cancelAll();
	}

	/** With call() inside: committed when that returns, rolled back when it
	 * throws. */
	async run(call) {
		this.outer = here().tx;
		await this.start(this.#core.connection, call.name || undefined);
		try {
			const value = await inside({ task: this.task, tx: this,
				holds: this.#root }, call, this);
			this.#signal?.throwIfAborted();
			if (this.isOpen)
				await this.commit();
			return value;
		} catch (error) {
			if (this.isOpen)
				await this.#giveUp();
			throw error;
		} finally {
			this.#end();
			this.#letGo();
		}
	}
}

// ---- by hand ----

const forgotten = new FinalizationRegistry(({ connection, generation, handle }) => {
	if (connection.generation !== generation)
		return;
	process.emitWarning(`transaction ${handle} was never ended and is rolled `
		+ 'back', 'LockkeeperWarning');
	connection.post(`#${handle}`, 'ROLLBACK');
});

/** Without a callback: only its own methods are part of it. */
export async function begin(core, options) {
	const tx = new Transaction(core, null, options);
	await tx.start();
	const { connection, handle } = tx;
	forgotten.register(tx, { connection, handle,
		generation: connection.generation }, tx);
	return tx;
}
