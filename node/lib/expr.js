/**
 * What is said of rows: conditions, orders, changes and related rows.
 *
 * col('age').ge(21), col('author', 'name').eq('Ann') and col('data').at('age')
 * .gt(30) are conditions, and so is { name: 'Ann', age: 30 }; and(), or() and
 * not() join them.  col('balance').plus(10) is a change.
 */
import { encode } from './encode.js';
import { UsageError } from './errors.js';

// Where a clause may begin, these words are the clause.
const WORDS = new Set(`WHERE ORDER AFTER LIMIT OFFSET FIELDS WITH FOR SET IF ON
	AND OR NOT IN BETWEEN IS NULL LIKE ILIKE EQ NE LT LE GT GE TO DEFAULT
	ALL`.split(/\s+/));
const PLAIN = /^[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*$/;

/** A column or relation as a word. */
export function name(text) {
	return PLAIN.test(text) && !WORDS.has(text.toUpperCase()) ? text
		: `"${text.replaceAll('"', '""')}"`;
}

/** Every row, where a condition has to be said. */
export const everything = Symbol('lockkeeper.everything');

/** The column's default, as a value of an assignment. */
export const defaultValue = Symbol('lockkeeper.defaultValue');

export class Condition {
	#words;

	/** @param {(string | Uint8Array | null)[]} words as they stand behind
	 * WHERE */
	constructor(words) {
		this.#words = words;
	}

	words() {
		return this.#words;
	}

	and(...others) {
		return and(this, ...others);
	}

	or(...others) {
		return or(this, ...others);
	}
}

/** A condition, or one of an object: each column equal to its value. */
export function condition(what) {
	if (what instanceof Condition)
		return what;
	if (what === null || typeof what !== 'object' || Array.isArray(what))
		throw new UsageError('a condition is made of col(…), or is an object '
			+ 'of columns and values');
	const tests = Object.entries(what).map(
		([column, value]) => col(column).eq(value));
	if (tests.length === 0)
		throw new UsageError('a condition without a column: say everything '
			+ 'for all rows');
	return tests.length === 1 ? tests[0] : joined('AND', tests);
}

function joined(word, conditions) {
	if (conditions.length === 0)
		throw new UsageError(`nothing to join by ${word}`);
	return new Condition(['(', ...conditions.flatMap((each, i) => [
		...i === 0 ? [] : [word], ...condition(each).words()]), ')']);
}

export const and = (...conditions) => joined('AND', conditions);
export const or = (...conditions) => joined('OR', conditions);
export const not = (of) =>
	new Condition(['NOT', '(', ...condition(of).words(), ')']);

/** What happens to a column's value: an operator and its operand. */
export class Change {
	constructor(path, op, operand) {
		this.path = path;
		this.op = op;
		this.operand = operand;
	}

	words(column) {
		const path = this.path.words();
		if (path.length !== 1 || path[0] !== name(column))
			throw new UsageError(`${column} can be changed by what it is `
				+ `itself, not by ${path.join(' ')}`);
		return [path[0], this.op, encode(this.operand)];
	}
}

/** A column that rows are ordered by. */
export class Order {
	constructor(text, isDescending) {
		this.word = (isDescending ? '-' : '') + text;
	}

	/** 'name', '-name', a column, or its desc(). */
	static of(what) {
		if (what instanceof Order)
			return what;
		if (what instanceof Path)
			return what.asc();
		const isDescending = what.startsWith('-');
		return new Order(name(isDescending ? what.slice(1) : what),
			isDescending);
	}
}

/** A column; of a row that a relation leads to; or what is in its JSON. */
export class Path {
	#steps;
	#keys;
	#cast;

	constructor(steps, keys = [], cast = null) {
		this.#steps = steps;
		this.#keys = keys;
		this.#cast = cast;
	}

	/** What is in JSON under these keys. */
	at(...keys) {
		return new Path(this.#steps, [...this.#keys, ...keys], this.#cast);
	}

	/** What is in JSON, as this type of PostgreSQL's. */
	as(type) {
		return new Path(this.#steps, this.#keys, type);
	}

	#text() {
		return this.#steps.map(name).join('.');
	}

	/** All of it, to be compared with the value: what is taken out of JSON is
	 * text unless it is cast. */
	words(value) {
		const last = this.#keys.length - 1;
		const words = [this.#text(), ...this.#keys.flatMap((key, i) =>
			[i === last ? '->>' : '->', String(key)])];
		const cast = this.#cast ?? (last < 0 ? undefined : {
			number: 'numeric', bigint: 'numeric', boolean: 'bool',
		}[typeof value]);
		return cast === undefined ? words : [...words, `::${cast}`];
	}

	toString() {
		return this.words().join(' ');
	}

	// -- conditions

	#test(op, value) {
		return new Condition([...this.words(value), op, encode(value)]);
	}

	eq(value) {
		return value === null ? this.isNull() : this.#test('=', value);
	}

	ne(value) {
		return value === null ? this.isNotNull() : this.#test('!=', value);
	}

	lt(value) {
		return this.#test('<', value);
	}

	le(value) {
		return this.#test('<=', value);
	}

	gt(value) {
		return this.#test('>', value);
	}

	ge(value) {
		return this.#test('>=', value);
	}

	like(pattern) {
		return this.#test('LIKE', pattern);
	}

	ilike(pattern) {
		return this.#test('ILIKE', pattern);
	}

	/** @> of arrays, ranges and jsonb. */
	contains(value) {
		return this.#test('@>', value);
	}

	containedIn(value) {
		return this.#test('<@', value);
	}

	overlaps(value) {
		return this.#test('&&', value);
	}

	hasKey(key) {
		return this.#test('?', key);
	}

	in(values) {
		const all = [...values];
		if (all.length === 0)		// it is in none, whatever it is
			return and(this.isNull(), this.isNotNull());
		return new Condition([...this.words(all[0]), 'IN',
			String(all.length), ...all.map(encode)]);
	}

	between(low, high) {
		return new Condition([...this.words(low), 'BETWEEN', encode(low),
			encode(high)]);
	}

	isNull() {
		return new Condition([...this.words(), 'IS', 'NULL']);
	}

	isNotNull() {
		return new Condition([...this.words(), 'IS', 'NOT', 'NULL']);
	}

	// -- changes

	plus(value) {
		return new Change(this, '+=', value);
	}

	minus(value) {
		return new Change(this, '-=', value);
	}

	/** Of text, arrays and jsonb. */
	concat(value) {
		return new Change(this, '||=', value);
	}

	// -- orders

	asc() {
		return new Order(this.#text(), false);
	}

	desc() {
		return new Order(this.#text(), true);
	}
}

/** A column, or what relations lead to: col('author', 'name'). */
export function col(...steps) {
	if (steps.length === 0 || steps.some((step) => typeof step !== 'string'))
		throw new UsageError('col(…) wants the name of a column');
	return new Path(steps);
}

/** Rows that a relation leads to, to come along: at most n, in an order, each
 * with related rows of its own. */
export class Related {
	#relation;
	#options;

	constructor(relation, options) {
		this.#relation = relation;
		this.#options = options;
	}

	words(before) {
		const { limit, orderBy = [], with: deeper = [] } = this.#options;
		const path = before + name(this.#relation);
		const order = orderBy.map((each) => Order.of(each).word).join(',');
		const some = limit === undefined && order === '' ? ''
			: `:${limit ?? ''}${order === '' ? '' : `:${order}`}`;
		return [path + some, ...deeper.flatMap((each) =>
			relatedWords(each, `${path}.`))];
	}
}

export const related = (relation, options = {}) =>
	new Related(relation, options);

/** Text is as in WITH: posts.tags. */
const relatedWords = (what, before) => what instanceof Related
	? what.words(before) : [before + what];

export const relationWords = (relations) =>
	relations.flatMap((each) => relatedWords(each, '')).join(',');
