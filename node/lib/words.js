/** Requests as words, and what their replies are. */
import { encode, Reference } from './encode.js';
import { UsageError } from './errors.js';
import { Change, condition, defaultValue, everything, name, Order,
	relationWords } from './expr.js';
import { bulks } from './resp.js';

const words = (text) => new Set(text.split(/\s+/));

// Of which nothing is left to do again when their reply is lost.
const READS = words(`GET FIND ONE FIRST COUNT EXISTS LOAD SHOW DESCRIBE MODELS
	TYPES PING ECHO COMMAND INFO CLIENT OPEN FETCH CLOSE BEGIN SAVEPOINT
	RELEASE AWAIT GIVE CANCEL SUBSCRIBE UNSUBSCRIBE MULTI DISCARD`);
// What is part of a transaction, where there is one.
const IN_TX = words(`SQL OPEN FETCH CLOSE PUBLISH GET FIND ONE FIRST COUNT
	EXISTS CREATE CREATEMANY UPDATE UPSERT DELETE UPDATEALL DELETEALL LOAD`);
// Whose reply is one row, or null.
const ONE_ROW = words('GET ONE FIRST CREATE UPDATE UPSERT');

// More in one request end the connection.
const MAX_WORDS = 65000;

/** One verb with its arguments; take makes what the caller gets of the reply's
 * value, and of the reply as it came. */
export class Request {
	/**
	 * @param {string} verb
	 * @param {any[]} args encoded, but for references
	 * @param {(value: any, reply: any) => any} take
	 * @param {{ model?: string, relation?: string }} [nested] whose rows these
	 *	are, in maps: the form in which related rows may be nested deeply;
	 *	or those that the relation leads to from there
	 */
	constructor(verb, args, take, { model = null, relation = null } = {}) {
		this.verb = verb.toUpperCase();
		this.words = [verb, ...args];
		this.take = take;
		this.model = model;
		this.relation = relation;
		if (this.words.length > MAX_WORDS)
			throw new UsageError(`${this.verb} with ${this.words.length
			} words, and ${MAX_WORDS} are the most: send it in parts`);
	}

	/** The same with a word before its verb, which is one itself. */
	behind(word) {
		return new Request(word, this.words, this.take,
			{ model: this.model, relation: this.relation });
	}

	get mayCommit() {
		return !READS.has(this.verb);
	}

	/** Or else it says nothing of data, and changes none. */
	get isForTransactions() {
		return IN_TX.has(this.verb);
	}

	/** How many words, and they, encoded, for this unit or for none. */
	encoded(unit = null) {
		const form = this.model === null ? [] : ['=maps'];
		const all = [...form, ...this.words.map((word) =>
			word instanceof Reference ? referenceText(word, unit) : word)];
		return { n: all.length, data: bulks(all) };
	}
}

function referenceText(reference, unit) {
	if (reference.unit !== unit)
		throw new UsageError('a reference is a value in its own unit only');
	return reference.text;
}

// ---- replies ----

export const asItIs = (value) => value;
export const nothing = () => undefined;
/** An array, or a command tag where there are none. */
export const rows = (value) => Array.isArray(value) ? value : [];
/** Of a table, or a row in maps. */
export const rowOrNull = (value) => Array.isArray(value) ? value[0] ?? null
	: typeof value === 'object' ? value : null;
/** By the table's columns: an object has them in an order of its own. */
export const firstValue = (value, reply) =>
	rows(value)[0]?.[reply.shape.columns[0]] ?? null;
/** The command tag; of rows, one in the same form. */
export const tag = (value) => Array.isArray(value)
	? `SELECT ${value.length}` : value;

// ---- any verb ----

export const anyVerb = (verb, args) => new Request(verb, args.map(encode),
	ONE_ROW.has(verb.toUpperCase()) ? rowOrNull : asItIs);

export const sql = (text, args, take) =>
	new Request('SQL', [text, ...args.map(encode)], take);

// ---- clauses ----

const keyWords = (key) => Array.isArray(key) ? key.map(encode)
	: [encode(key)];

const names = (columns) => columns.map((each) => name(String(each))).join(',');

const whereWords = (where) => where === undefined || where === null
	|| where === everything ? [] : ['WHERE', ...condition(where).words()];

const KNOWN = words('where orderBy after limit offset fields with lock');

function clauses(options) {
	for (const option of Object.keys(options)) {
		if (!KNOWN.has(option))
			throw new UsageError(`there is no option ${option}: there are ${
				[...KNOWN].join(', ')}`);
	}
	const { where, orderBy, after, limit, offset, fields, lock } = options;
	const related = options.with ?? [];
	return [
		...whereWords(where),
		...orderBy?.length > 0 ? ['ORDER', orderBy.map(
			(each) => Order.of(each).word).join(',')] : [],
		...after === undefined ? [] : ['AFTER', ...after.map(encode)],
		...limit === undefined ? [] : ['LIMIT', String(limit)],
		...offset === undefined ? [] : ['OFFSET', String(offset)],
		...fields === undefined ? [] : ['FIELDS', names(fields)],
		...related.length > 0 ? ['WITH', relationWords(related)] : [],
		...lock === undefined ? [] : ['FOR', ...lock.split(/\s+/)],
	];
}

const nestedIn = (model, options) =>
	options.with?.length > 0 ? { model } : {};

function assignments(values) {
	return Object.entries(values).flatMap(([column, value]) =>
		value instanceof Change ? value.words(column)
			: value === defaultValue ? [name(column), 'TO', 'DEFAULT']
				: [name(column), '=', encode(value)]);
}

const ifWords = (if_) => if_ === undefined ? []
	: ['IF', ...condition(if_).words()];

// ---- verbs about models ----

export const get = (model, key, options) => new Request('GET',
	[model, ...keyWords(key), ...clauses(options)], rowOrNull,
	nestedIn(model, options));

export const find = (verb, model, options, take) => new Request(verb,
	[model, ...clauses(options)], take, nestedIn(model, options));

export const count = (verb, model, where) => new Request(verb,
	[model, ...whereWords(where)], asItIs);

export const create = (model, values) => new Request('CREATE',
	[model, ...assignments(values)], rowOrNull);

export function createMany(model, rowsOf) {
	if (rowsOf.length === 0)
		throw new UsageError('there are no rows to create');
	const columns = Object.keys(rowsOf[0]);
	return new Request('CREATEMANY', [model, String(columns.length),
		...columns.map(name), ...rowsOf.flatMap((row) =>
			columns.map((column) => encode(row[column])))], asItIs);
}

export const update = (model, key, values, if_) => new Request('UPDATE',
	[model, ...keyWords(key), 'SET', ...assignments(values),
		...ifWords(if_)], rowOrNull);

export const upsert = (model, values, on) => new Request('UPSERT',
	[model, ...assignments(values),
		...on === undefined ? [] : ['ON', names(on)]], rowOrNull);

export const remove = (model, key, if_) => new Request('DELETE',
	[model, ...keyWords(key), ...ifWords(if_)], (value) => value === 1);

const allOf = (where) => where === everything ? ['WHERE', 'ALL']
	: ['WHERE', ...condition(where).words()];

export const updateAll = (model, where, values) => new Request('UPDATEALL',
	[model, 'SET', ...assignments(values), ...allOf(where)], asItIs);

export const deleteAll = (model, where) => new Request('DELETEALL',
	[model, ...allOf(where)], asItIs);

export const load = (model, key, relation, options) => new Request('LOAD',
	[model, ...keyWords(key), name(relation), ...clauses(options)], asItIs,
	{ model, relation });

export const publish = (channel, payload) => new Request('PUBLISH',
	[channel, payload], nothing);
