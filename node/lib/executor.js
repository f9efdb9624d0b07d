/**
 * What can be asked for, wherever it is carried out: by the client, in a
 * transaction, or outside of all.
 */
import { PLAIN } from './core.js';
import { UsageError } from './errors.js';
import { bulk } from './resp.js';
import * as words from './words.js';

/** The verbs.  What becomes of the request that one is made into says
 * do(make, ...args). */
export class Verbs {
	/** Any verb of lockkeeper-protocol(7). */
	call(verb, ...args) {
		return this.do(words.anyVerb, verb, args);
	}

	fetch(sql, ...args) {
		return this.do(words.sql, sql, args, words.rows);
	}

	/** The first row, or null. */
	fetchrow(sql, ...args) {
		return this.do(words.sql, sql, args, words.rowOrNull);
	}

	/** The first column of the first row, or null. */
	fetchval(sql, ...args) {
		return this.do(words.sql, sql, args, words.firstValue);
	}

	/** The command tag, such as "UPDATE 3". */
	execute(sql, ...args) {
		return this.do(words.sql, sql, args, words.tag);
	}

	/** The row with this key, or null; a composite key is an array. */
	get(model, key, options = {}) {
		return this.do(words.get, model, key, options);
	}

	find(model, where, options = {}) {
		return this.do(words.find, 'FIND', model, { where, ...options },
			words.rows);
	}

	/** The only row; UnmetError when there is none, or another. */
	one(model, where, options = {}) {
		return this.do(words.find, 'ONE', model, { where, ...options },
			words.rowOrNull);
	}

	first(model, where, options = {}) {
		return this.do(words.find, 'FIRST', model, { where, ...options },
			words.rowOrNull);
	}

	count(model, where) {
		return this.do(words.count, 'COUNT', model, where);
	}

	exists(model, where) {
		return this.do(words.count, 'EXISTS', model, where);
	}

	/** The new row, with its defaults. */
	create(model, values = {}) {
		return this.do(words.create, model, values);
	}

	/** All or none of them; the first one says which columns they have. */
	createMany(model, rows) {
		return this.do(words.createMany, model, rows);
	}

	/** The row as it is then, or null. */
	update(model, key, values, { if: if_ } = {}) {
		return this.do(words.update, model, key, values, if_);
	}

	/** The row that has this key, new or changed. */
	upsert(model, values, { on } = {}) {
		return this.do(words.upsert, model, values, on);
	}

	/** Whether there was such a row. */
	delete(model, key, { if: if_ } = {}) {
		return this.do(words.remove, model, key, if_);
	}

	updateAll(model, where, values) {
		return this.do(words.updateAll, model, where, values);
	}

	deleteAll(model, where) {
		return this.do(words.deleteAll, model, where);
	}

	/** What the relation leads to from the row with this key: rows, or, where
	 * there is one at most, a row or null. */
	load(model, key, relation, options = {}) {
		return this.do(words.load, model, key, relation, options);
	}

	publish(channel, payload) {
		return this.do(words.publish, channel, payload);
	}
}

/** What gives promises: of the client, in a transaction, or with options. */
export class Executor extends Verbs {
	do(make, ...args) {
		try {
			return this.ask(make(...args));
		} catch (error) {
			return Promise.reject(error);
		}
	}

	/** The same, for requests that have milliseconds to be done (timeout) or to
	 * wait for locks (lockTimeout), go to another database, may be run again
	 * from their start (replay), have large replies and so go by a connection
	 * that others do not wait for (bulk), or end when a signal comes. */
	options(options) {
		return new Optioned(this, envelopeOf(options));
	}

	/** The rows some at a time, so that they may be more than memory holds. */
	iterate(sql, ...args) {
		return this.cursor(words.sql(sql, args, words.rows));
	}

	/** The same of what find() finds. */
	each(model, where, options = {}) {
		return this.cursor(words.find('FIND', model, { where, ...options },
			words.rows));
	}
}

const MAX_MS = 365 * 86400e3;

function milliseconds(name, value) {
	if (!(value >= 0 && value <= MAX_MS))
		throw new UsageError(`${name}: ${value} are no milliseconds from 0 `
			+ `to ${MAX_MS}`);
	return String(Math.ceil(value));
}

const OPTIONS = ['timeout', 'lockTimeout', 'database', 'replay', 'bulk',
	'signal'];

function envelopeOf(options) {
	for (const name of Object.keys(options)) {
		if (!OPTIONS.includes(name))
			throw new UsageError(`there is no option ${name}: there are ${
				OPTIONS.join(', ')}`);
	}
	const { timeout, lockTimeout, database, replay, signal } = options;
	const all = [
		timeout !== undefined && `~${milliseconds('timeout', timeout)}`,
		lockTimeout !== undefined
			&& `?${milliseconds('lockTimeout', lockTimeout)}`,
		database !== undefined && `/${database}`,
		replay && '!',
	].filter(Boolean);
	return { n: all.length, text: all.map(bulk).join(''),
		database: database ?? null, isBulk: Boolean(options.bulk),
		signal: signal ?? null };
}

/** Another one, with words in the envelope. */
class Optioned extends Executor {
	#of;
	#envelope;

	constructor(of, envelope) {
		super();
		this.#of = of;
		this.#envelope = envelope;
	}

	#both(inner) {
		const outer = this.#envelope;
		return inner === PLAIN ? outer : { n: outer.n + inner.n,
			text: outer.text + inner.text,
			database: inner.database ?? outer.database,
			isBulk: inner.isBulk || outer.isBulk,
			signal: inner.signal ?? outer.signal };
	}

	ask(request, envelope = PLAIN) {
		return this.#of.ask(request, this.#both(envelope));
	}

	cursor(request, envelope = PLAIN) {
		return this.#of.cursor(request, this.#both(envelope));
	}

	/** In the database of the options, and ended by their signal. */
	transaction(call, options = {}) {
		const { database, signal } = this.#envelope;
		return this.#of.transaction(call, { signal, database, ...options });
	}
}
