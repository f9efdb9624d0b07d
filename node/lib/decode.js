/**
 * PostgreSQL's values as JavaScript's, by the name of their type.
 *
 * A cell comes as RESP has it: numbers and truth as such, arrays as arrays, all
 * else as text, or as a Buffer where the type's name does not say that it is
 * text.  How the rows of a Shape are decoded is worked out once for each.
 */
import { DataError } from './errors.js';
import { Table } from './resp.js';
import { isText } from './types.js';

/** A type has to be learnt first: ask ASK for it, then learn(). */
export class Unknown extends Error {
	constructor(typeName) {
		super(`the type ${typeName} is not known`);
		this.typeName = typeName;
	}
}

/** A model has to be known first: describe() it. */
export class Undescribed extends Error {
	constructor(model) {
		super(`the model ${model} is not known`);
		this.model = model;
	}
}

/** A model is not as it was when it was described. */
export class Changed extends Error {}

/** What is asked of a type by its name: one row. */
export const ASK = `SELECT t.typtype::text AS kind,
	format_type(t.typbasetype, NULL) AS of
	FROM pg_type t WHERE t.oid = to_regtype($1)`;

const text = (cell) => typeof cell === 'string' ? cell : cell.toString();
const asItIs = (cell) => cell;
const float = (cell) => typeof cell === 'number' ? cell : Number(text(cell));

const DECODERS = new Map([
	...['boolean', 'smallint', 'integer', 'oid', 'bytea'].map(
		(name) => [name, asItIs]),
	['bigint', BigInt],
	['real', float], ['double precision', float],
	...['json', 'jsonb'].map((name) =>
		[name, (cell) => JSON.parse(text(cell))]),
]);

function safeNumber(cell) {
	const number = Number(cell);
	if (!Number.isSafeInteger(number))
		throw new DataError(`the bigint ${cell} is no safe number: have it `
			+ 'as a BigInt, or as ::text');
	return number;
}

const TIMESTAMP = /^(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)(\.\d+)?\+00( BC)?$/;

function date(cell) {
	const found = TIMESTAMP.exec(text(cell));
	const made = new Date(NaN);
	if (found !== null) {
		const [year, month, day, hour, minute, second] =
			found.slice(1, 7).map(Number);
		made.setTime(0);
		made.setUTCFullYear(found[8] ? 1 - year : year, month - 1, day);
		made.setUTCHours(hour, minute, second,
			Math.floor(Number(found[7] ?? 0) * 1000));
	}
	if (Number.isNaN(made.getTime()))
		throw new DataError(`JavaScript has no Date ${text(cell)}: have it `
			+ 'as ::text');
	return made;
}

function arrayOf(element) {
	return function decode(cell) {
		if (!Array.isArray(cell))	// one that the daemon could not read
			return text(cell);
		return cell.map((item) => item === null ? null
			: Array.isArray(item) ? decode(item) : element(item));
	};
}

/** Also where a column is called __proto__. */
function setColumn(row, name, value) {
	if (name === '__proto__')
		Object.defineProperty(row, name, { value, writable: true,
			enumerable: true, configurable: true });
	else
		row[name] = value;
}

/** Each cell as its decoder has it; where there is none it is a value. */
function rowOf(columns, cells, decoders) {
	const row = {};
	for (let i = 0; i < columns.length; i++) {
		const cell = cells[i];
		const decode = decoders[i];
		setColumn(row, columns[i], cell === null || decode === undefined
			? cell : decode(cell));
	}
	return row;
}

/** Without its modifier: numeric(10,2), interval day to second. */
const bare = (typeName) => typeName.startsWith('interval')
	? typeName.endsWith('[]') ? 'interval[]' : 'interval'
	: typeName.replace(/\(\d+(,-?\d+)?\)/, '');

/** The types of one database. */
export class Codecs {
	#decoders;
	#models = new Map();
	#nested = new Map();

	/** @param {{ int8: string, timestamptz: string }} forms */
	constructor({ int8, timestamptz }) {
		this.#decoders = new Map(DECODERS);
		if (int8 === 'number')
			this.#decoders.set('bigint', safeNumber);
		if (timestamptz === 'date')
			this.#decoders.set('timestamp with time zone', date);
	}

	/** What makes a value of a cell of this type. */
	#of(name) {
		const known = this.#decoders.get(name);
		if (known !== undefined)
			return known;
		if (isText(name))
			return text;
		if (name === 'rowset')		// a table in a table: WITH
			return (cell) => this.rows(cell);
		if (!name.endsWith('[]'))
			throw new Unknown(name);
		const made = arrayOf(this.#of(name.slice(0, -2)));
		this.#decoders.set(name, made);
		return made;
	}

	/** What ASK was answered. */
	learn(name, [row]) {
		this.#decoders.set(name, row?.kind === 'd' ? this.#of(row.of) : text);
	}

	/** The table's rows.  Throws Unknown. */
	rows({ shape, rows }) {
		let plan = shape.plans.get(this);
		if (plan === undefined) {
			plan = this.#plan(shape);
			shape.plans.set(this, plan);
		}
		return rows.map((cells) => rowOf(shape.columns, cells, plan));
	}

	#plan({ types, isText: comesAsText }) {
		return types.map((name, i) => {
			const decode = this.#of(name);
			return decode === asItIs || (decode === text && comesAsText[i])
				? undefined : decode;
		});
	}

	/** Any reply's, with text where it has bytes. */
	value(reply) {
		if (reply instanceof Table)
			return this.rows(reply);
		if (Buffer.isBuffer(reply))
			return reply.toString();
		if (Array.isArray(reply))
			return reply.map((item) => this.value(item));
		if (reply instanceof Map)
			return rowOf([...reply.keys()],
				[...reply.values()].map((item) => this.value(item)), []);
		return reply;
	}

	// -- rows in maps, with related ones, whose types the catalog says

	/** DESCRIBE's reply. */
	describe(described) {
		this.#models.set(described.model, described);
	}

	/** Rows of the model, or those to which the relation leads from it. */
	nested(reply, model, relation = null) {
		const of = relation === null ? model
			: this.#relation(model, relation).model;
		if (reply instanceof Map)
			return this.#rowOfMap(reply, of);
		return Array.isArray(reply)
			? reply.map((row) => this.#rowOfMap(row, of)) : null;
	}

	#described(model) {
		const described = this.#models.get(model);
		if (described === undefined)
			throw new Undescribed(model);
		return described;
	}

	#relation(model, name) {
		const found = this.#described(model).relations.find(
			(relation) => relation.name === name);
		if (found === undefined)
			throw new Changed(`${model} has no relation ${name}`);
		return found;
	}

	#rowOfMap(map, model) {
		const columns = [...map.keys()];
		const key = JSON.stringify([model, columns]);
		let decoders = this.#nested.get(key);
		if (decoders === undefined) {
			decoders = this.#nestedPlan(model, columns);
			this.#nested.set(key, decoders);
		}
		return rowOf(columns, [...map.values()], decoders);
	}

	#nestedPlan(model, columns) {
		const types = new Map(this.#described(model).columns.map(
			({ name, type }) => [name, bare(type)]));
		return columns.map((name) => {
			if (types.has(name))
				return this.#of(types.get(name));
			const { model: to } = this.#relation(model, name);
			return (cell) => this.nested(cell, to);
		});
	}
}

/** For what the daemon itself says. */
export const builtin = new Codecs({ int8: 'number', timestamptz: 'string' });
