/**
 * JavaScript's values as PostgreSQL's text, for parameters.  PostgreSQL decides
 * what type a parameter has, and the daemon gives it bytes of a bytea as they
 * are, so a value's own form is all that is needed.
 */
import { DataError } from './errors.js';

/** A value that goes out as JSON whatever it is. */
export class Json {
	/** @param {unknown} value */
	constructor(value) {
		this.value = value;
	}
}

/** For arrays, strings, numbers and null that are to be JSON. */
export const json = (value) => new Json(value);

/** A column of the row that an earlier verb of a unit gives: see unit.js. */
export class Reference {
	constructor(unit, text) {
		this.unit = unit;
		this.text = text;
	}
}

function jsonText(value) {
	let text;
	try {
		text = JSON.stringify(value);
	} catch (error) {
		throw new DataError(`no JSON can be made of it: ${error.message}`,
			{ cause: error });
	}
	if (text === undefined)
		throw new DataError(`a ${typeof value} is nothing in JSON`);
	return text;
}

function dateText(date) {
	if (Number.isNaN(date.getTime()))
		throw new DataError('an invalid Date');
	const year = date.getUTCFullYear();
	const [, rest] = /^[+-]?\d+(-.*)Z$/.exec(date.toISOString());
	const shown = year > 0 ? year : 1 - year;
	return `${String(shown).padStart(4, '0')}${rest.replace('T', ' ')}+00`
		+ (year > 0 ? '' : ' BC');
}

const isPlain = (object) => {
	const prototype = Object.getPrototypeOf(object);
	return prototype === Object.prototype || prototype === null;
};

const hex = (bytes) => `\\x${Buffer.from(bytes.buffer, bytes.byteOffset,
	bytes.byteLength).toString('hex')}`;

// Else it has to be quoted in an array.
const BARE = /^[\w.+:/-]+$/;

function elementText(value) {
	if (Array.isArray(value))
		return arrayText(value);
	const encoded = encode(value);
	if (encoded === null)
		return 'NULL';
	if (encoded instanceof Reference)
		throw new DataError('a reference cannot be in an array');
	const text = typeof encoded === 'string' ? encoded : hex(encoded);
	return BARE.test(text) && text.toUpperCase() !== 'NULL' ? text
		: `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function arrayText(value) {
	return `{${value.map(elementText).join(',')}}`;
}

function objectText(value) {
	if (value instanceof Uint8Array || value instanceof Reference)
		return value;
	if (value instanceof Date)
		return dateText(value);
	if (value instanceof Json)
		return jsonText(value.value);
	if (isPlain(value))
		return jsonText(value);
	throw new DataError(`no text for PostgreSQL is known of a ${
		value.constructor?.name}: say String(…) of it, or json(…)`);
}

/**
 * @param {unknown} value
 * @returns {string | Uint8Array | Reference | null} null is NULL
 * @throws {DataError}
 */
export function encode(value) {
	switch (typeof value) {
	case 'string':
		return value;
	case 'number':
		return Object.is(value, -0) ? '-0' : String(value);
	case 'bigint':
	case 'boolean':
		return String(value);
	case 'object':
		return value === null ? null
			: Array.isArray(value) ? arrayText(value) : objectText(value);
	case 'undefined':
		throw new DataError('undefined is no value: say null for NULL');
	default:
		throw new DataError(`no text for PostgreSQL is known of a ${
			typeof value}`);
	}
}
