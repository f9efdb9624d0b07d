/**
 * Units: several verbs that are sent whole and carried out in one transaction,
 * which the daemon begins again when it loses a deadlock.
 */
import { randomBytes } from 'node:crypto';
import { asker, Task } from './context.js';
import { inDatabase, unlessAborted } from './core.js';
import { Reference } from './encode.js';
import { ExecabortError, UsageError } from './errors.js';
import { Verbs } from './executor.js';
import { bulk, ErrorReply } from './resp.js';
import { nothing, Request } from './words.js';

// No data of a program begins with it by accident.
const MARKER = `&${randomBytes(6).toString('hex')}:`;

/** What a verb will give. */
export class Result {
	#unit;
	#index;
	#values = [];

	constructor(unit, index) {
		this.#unit = unit;
		this.#index = index;	// as the daemon counts, from 1
	}

	/** Once the unit was carried out. */
	get value() {
		if (this.#values.length === 0)
			throw new UsageError('the unit has not been carried out');
		return this.#values[0];
	}

	set(value) {
		this.#values = [value];
	}

	/** A column of its row, as a value for later verbs of the unit. */
	ref(column) {
		return new Reference(this.#unit, `${MARKER}${this.#index}.${column}`);
	}
}

/** The verbs, each of which must give something. */
class Must extends Verbs {
	#unit;

	constructor(unit) {
		super();
		this.#unit = unit;
	}

	do(make, ...args) {
		return this.#unit.keep(make(...args).behind('MUST'));
	}
}

const OPTIONS = ['retry', 'isolation', 'database', 'signal'];

/** Its methods keep what is to be done, and give a Result each. */
export class Unit extends Verbs {
	#core;
	#options;
	#queue = [];
	#isOver = false;
	/** The same methods, for verbs that fail the unit when they give null,
	 * false, 0 or no rows. */
	must = new Must(this);

	/** See lk.unit(). */
	constructor(core, options) {
		super();
		for (const name of Object.keys(options)) {
			if (!OPTIONS.includes(name))
				throw new UsageError(`there is no option ${name}: there `
					+ `are ${OPTIONS.join(', ')}`);
		}
		this.#core = core;
		this.#options = options;
	}

	do(make, ...args) {
		return this.keep(make(...args));
	}

	keep(request) {
		if (this.#isOver)
			throw new UsageError('the unit has been carried out');
		const result = new Result(this, this.#queue.length + 1);
		this.#queue.push({ result, request, ...request.encoded(this) });
		return result;
	}

	#multi() {
		const { isolation, retry } = this.#options;
		return new Request('MULTI', [
			...isolation?.toUpperCase().split(' ') ?? [],
			...retry === undefined ? [] : ['RETRY', String(retry)],
			'REF', MARKER], nothing).encoded();
	}

	/** With what call(unit) keeps; the values of all verbs. */
	async run(call) {
		await call(this);
		this.#isOver = true;
		if (this.#queue.length === 0)
			return [];
		const { connection } = this.#core;
		const { database = null, signal = null } = this.#options;
		signal?.throwIfAborted();
		while (!connection.isUp)
			await unlessAborted(signal, connection.whenUp(0));
		const task = asker() ?? Task.named(call.name || 'unit');
		task.nBusy++;
		try {
			return await this.#exchange(connection, task, database, signal);
		} finally {
			task.nBusy--;
		}
	}

	async #exchange(connection, { name, word }, database, signal) {
		const kept = connection.submit(...this.#requests(word, database));
		const exec = kept.pop();
		const reply = await unlessAborted(signal, exec.promise, () => {
			connection.cancel(exec);
			// An EXEC that was ended before its turn leaves the queue open.
			connection.post(`%${name}`, 'DISCARD');
		});
		if (reply instanceof ErrorReply)
			throw failure(reply, kept);
		return this.#take(reply, { ...inDatabase(database), word });
	}

	#requests(word, database) {
		const { n, text } = inDatabase(database);
		const multi = this.#multi();
		return [
			{ n: n + 1 + multi.n, head: text + word, data: multi.data },
			...this.#queue.map((each) => (
				{ n: 1 + each.n, head: word, data: each.data })),
			{ n: 2, head: word, data: bulk('EXEC'), mayCommit: true },
		];
	}

	async #take(replies, { n, text, word, database }) {
		const core = this.#core;
		const values = [];
		for (const [i, { request, result }] of this.#queue.entries()) {
			if (replies[i] instanceof ErrorReply)
				throw replies[i].exception();
			values.push(await core.take(replies[i], request, database,
				(other) => core.exchange(core.connection, { n: n + 1,
					text: text + word, signal: null }, other)));
			result.set(values[i]);
		}
		return values;
	}
}

/** Of a unit that was refused: the verb's error, which says why. */
function failure(reply, kept) {
	const error = reply.exception();
	if (!(error instanceof ExecabortError))
		return error;
	const i = kept.findIndex((each) => each.reply instanceof ErrorReply);
	if (i < 0)
		return error;
	const refused = kept[i].reply.exception();
	if (i > 0)
		refused.index = i;
	return refused;
}
