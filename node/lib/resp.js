/**
 * RESP3 as lockkeeperd speaks it: bytes in, values out, and requests as bytes.
 * No I/O.
 *
 * A simple string is a string, a bulk string a Buffer, for only who knows a
 * column's type knows whether it is text; in the rows of a table that is known,
 * and text is a string at once.  An integer is a number, or a BigInt where no
 * number is exact.  A map is a Map.
 */
import { Buffer, constants } from 'node:buffer';
import { ProtoError } from './errors.js';
import { fromReply } from './kinds.js';
import { comesAsText } from './types.js';

const MAX_LINE = 65536;
const MAX_DEPTH = 32;
const MAX_SIZE = constants.MAX_STRING_LENGTH;
const MAX_SHAPES = 1000;
const MAX_HEADS = 16;
const MAX_HEAD = 16384;

/** An error in the place of a value. */
export class ErrorReply {
	constructor(text) {
		this.text = text;
	}

	exception() {
		return fromReply(this.text);
	}
}

/** Columns and types that rows have in common. */
export class Shape {
	constructor(columns, types) {
		this.columns = columns;
		this.types = types;
		this.isText = types.map(comesAsText);
		/** How cells become values, by who asks: see decode.js. */
		this.plans = new WeakMap();
	}
}

/** Rows, each an array of cells. */
export class Table {
	constructor(shape, rows) {
		this.shape = shape;
		this.rows = rows;
	}
}

/** The reply to the request with this tag. */
export class Reply {
	constructor(tag, value) {
		this.tag = tag;
		this.value = value;
	}
}

export class Push {
	constructor(kind, args) {
		this.kind = kind;
		this.args = args;
	}
}

// ---- requests ----

function byteLength(text) {
	if (text.length > 64)
		return Buffer.byteLength(text);
	for (let i = 0; i < text.length; i++) {
		if (text.charCodeAt(i) > 127)
			return Buffer.byteLength(text);
	}
	return text.length;
}

/** One word, which is text. */
export const bulk = (word) => `$${byteLength(word)}\r\n${word}\r\n`;

/**
 * Words behind each other: a string, or a Buffer where one of them is bytes.
 *
 * @param {(string | Uint8Array | null)[]} words
 * @returns {string | Buffer}
 */
export function bulks(words) {
	let text = '';
	let parts = null;
	for (const word of words) {
		if (word === null) {
			text += '$-1\r\n';
		} else if (typeof word === 'string') {
			text += bulk(word);
		} else {
			parts ??= [];
			parts.push(Buffer.from(`${text}$${word.length}\r\n`), word);
			text = '\r\n';
		}
	}
	return parts === null ? text
		: Buffer.concat([...parts, Buffer.from(text)]);
}

// ---- replies ----

const [PLUS, MINUS, COLON, DOLLAR, STAR, UNDERSCORE, HASH, COMMA, PERCENT,
	BANG, MORE] = Buffer.from('+-:$*_#,%!>');
const CR = 13;
const LF = 10;
const ZERO = 48;

// Kinds of frames: what is open.
const ARRAY = 0;
const MAP = 1;
const PUSH = 2;
const ROWS = 3;
const ROW = 4;

// In place of a value: the bytes that came end before it does; and it is a
// frame now, whose items follow.
const NEED = Symbol('need');
const OPENED = Symbol('opened');

class Frame {
	constructor(kind, left, isText, shape) {
		this.kind = kind;
		this.left = left;
		this.isText = isText;	// its strings are
		this.shape = shape;	// of a table, its rows and each of them
		this.items = [];
		// Of a map, which may be a table: the bytes that it begins in.
		this.buf = null;
		this.start = 0;
	}
}

function refuse(what) {
	throw new ProtoError(`what came is no reply: ${what}`);
}

function integer(buf, start, end) {
	const isNegative = buf[start] === MINUS;
	const first = isNegative ? start + 1 : start;
	if (first >= end || end - first > 19)
		refuse('a number of no digits or too many');
	let number = 0;
	for (let i = first; i < end; i++) {
		const digit = buf[i] - ZERO;
		if (!(digit >= 0 && digit <= 9))
			refuse(`a number with the byte ${buf[i]} in it`);
		number = number * 10 + digit;
	}
	if (end - first <= 15)
		return isNegative ? 0 - number : number;
	const exact = BigInt(buf.toString('latin1', start, end));
	return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact;
}

function size(buf, start, end) {
	const number = integer(buf, start, end);
	if (!(number >= -1 && number <= MAX_SIZE))
		refuse(`a size of ${number}`);
	return number;
}

function double(text) {
	const number = text === 'inf' ? Infinity : text === '-inf' ? -Infinity
		: text === '' ? NaN : Number(text);
	if (number !== number && text !== 'nan')
		refuse(`the double ${JSON.stringify(text.slice(0, 40))}`);
	return number;
}

const isWord = (value, word) => Buffer.isBuffer(value)
	&& value.toString('latin1') === word;

/**
 * Feed it what came.  Nothing is looked at again because its end had not come,
 * but for the line or the string that the bytes have ended in.
 */
export class Decoder {
	#buf = Buffer.alloc(0);
	#at = 0;
	#kept = [];	// what came and was not used: the end of #buf, and more
	#nKept = 0;
	#missing = 0;	// bytes that must come before the string in #kept ends
	#isInLine = false;
	#stack = [];
	#shapes = new Map();
	#heads = [];	// how tables begin that came lately
	/** Of all that came, ever. */
	nBytes = 0;

	/**
	 * @param {Buffer} data
	 * @param {(item: any) => void} take is called with each Reply, Push or,
	 *	where there is no tag, value.  What it throws comes through.
	 * @throws {ProtoError} what came is no reply; of use no more
	 */
	feed(data, take) {
		this.nBytes += data.length;
		if (!this.#isOfUse(data))
			return;
		this.#buf = this.#kept.length === 0 ? data
			: Buffer.concat([...this.#kept, data]);
		this.#at = 0;
		for (;;) {
			const value = this.#next();
			if (value === NEED)
				break;
			if (value !== OPENED)
				this.#put(value, take);
		}
		this.#kept = this.#at === this.#buf.length ? []
			: [this.#buf.subarray(this.#at)];
		this.#nKept = this.#buf.length - this.#at;
	}

	/** Or else it has been kept, since what it belongs to goes on. */
	#isOfUse(data) {
		if (this.#missing > data.length) {
			this.#missing -= data.length;
		} else if (this.#isInLine && data.indexOf(LF) < 0) {
			if (this.#nKept + data.length > MAX_LINE)
				refuse('a line without an end');
		} else {
			this.#missing = 0;
			this.#isInLine = false;
			return true;
		}
		this.#kept.push(data);
		this.#nKept += data.length;
		return false;
	}

	/** What stands at #at; #at is behind it then. */
	#next() {
		const buf = this.#buf;
		const start = this.#at + 1;
		let end = this.#at;
		while (end < buf.length && buf[end] !== CR)
			end++;
		if (end + 1 >= buf.length) {
			if (end - start > MAX_LINE)
				refuse('a line without an end');
			this.#isInLine = true;
			return NEED;
		}
		if (buf[end + 1] !== LF)
			refuse('a line that ends in CR alone');
		switch (buf[start - 1]) {
		case DOLLAR:
			return this.#string(size(buf, start, end), end + 2);
		case STAR:
			return this.#array(size(buf, start, end), end + 2);
		case PERCENT:
			return this.#map(size(buf, start, end), end + 2);
		case MORE:
			return this.#push(size(buf, start, end), end + 2);
		case BANG:
			return this.#blob(size(buf, start, end), end + 2);
		default:
			this.#at = end + 2;
			return this.#line(buf[start - 1], start, end);
		}
	}

	#line(kind, start, end) {
		const buf = this.#buf;
		switch (kind) {
		case COLON:
			return integer(buf, start, end);
		case UNDERSCORE:
			if (end !== start)
				refuse('a null with something in it');
			return null;
		case HASH: {
			const word = buf.toString('latin1', start, end);
			if (word !== 't' && word !== 'f')
				refuse('neither true nor false');
			return word === 't';
		}
		case COMMA:
			return double(buf.toString('latin1', start, end));
		case PLUS:
			return buf.toString('utf8', start, end);
		case MINUS:
			return new ErrorReply(buf.toString('utf8', start, end));
		default:
			return refuse(`a value that begins with the byte ${kind}`);
		}
	}

	/** Whether n bytes and the end of their line have come. */
	#has(n, start) {
		const buf = this.#buf;
		const end = start + n;
		if (end + 2 > buf.length) {
			this.#missing = end + 2 - buf.length;
			return false;
		}
		if (buf[end] !== CR || buf[end + 1] !== LF)
			refuse('a string that is longer than it says');
		this.#at = end + 2;
		return true;
	}

	#isTextNext() {
		const top = this.#stack[this.#stack.length - 1];
		return top !== undefined && (top.kind === ROW
			? top.shape.isText[top.items.length] : top.isText);
	}

	#string(n, start) {
		if (n < 0) {
			this.#at = start;
			return null;
		}
		if (!this.#has(n, start))
			return NEED;
		return this.#isTextNext() ? this.#buf.toString('utf8', start, start + n)
			: Buffer.from(this.#buf.subarray(start, start + n));
	}

	#blob(n, start) {
		if (n < 0)
			refuse('an error that is null');
		return this.#has(n, start)
			? new ErrorReply(this.#buf.toString('utf8', start, start + n)) : NEED;
	}

	#open(kind, n, isText, shape) {
		if (this.#stack.length >= MAX_DEPTH)
			refuse('values nested too deep');
		const frame = new Frame(kind, n, isText, shape);
		this.#stack.push(frame);
		return frame;
	}

	#array(n, start) {
		const top = this.#stack[this.#stack.length - 1];
		let kind = ARRAY;
		let shape = null;
		if (top !== undefined && top.kind === ROWS) {
			kind = ROW;
			shape = top.shape;
			if (n !== shape.columns.length)
				refuse(`a row of ${n} cells`);
		} else if (top !== undefined && top.kind === MAP && top.left === 1) {
			shape = this.#shapeOf(top);
			kind = shape === null ? ARRAY : ROWS;
		}
		this.#at = start;
		if (n <= 0)
			return n < 0 ? null : [];
		this.#open(kind, n, kind === ARRAY && this.#isTextNext(), shape);
		return OPENED;
	}

	#map(n, start) {
		if (n < 0)
			refuse('a map that is null');
		if (n === 3 && this.#knownTable())
			return OPENED;
		const from = this.#at;
		this.#at = start;
		if (n === 0)
			return new Map();
		const frame = this.#open(MAP, 2 * n, false, null);
		frame.buf = this.#buf;
		frame.start = from;
		return OPENED;
	}

	#push(n, start) {
		if (this.#stack.length > 0 || n < 1)
			refuse('a push where none can be');
		this.#at = start;
		this.#open(PUSH, n, false, null);
		return OPENED;
	}

	/** Where it belongs: into what is open, or out. */
	#put(value, take) {
		let whole = value;
		while (this.#stack.length > 0) {
			const frame = this.#stack[this.#stack.length - 1];
			if (frame.kind === ROWS && !Array.isArray(whole))
				refuse('a row that is no array');
			frame.items.push(whole);
			frame.left--;
			if (frame.left > 0)
				return;
			this.#stack.pop();
			whole = this.#closed(frame);
		}
		take(whole);
	}

	#closed({ kind, items, shape }) {
		if (kind === MAP)
			return shape === null ? this.#asMap(items)
				: new Table(shape, items[items.length - 1] ?? []);
		if (kind !== PUSH)
			return items;
		if (items[0] === 'reply' && items.length === 3
			&& Buffer.isBuffer(items[1]))
			return new Reply(items[1].toString('latin1'), items[2]);
		return new Push(String(items[0]), items.slice(1));
	}

	#asMap(items) {
		const made = new Map();
		for (let i = 0; i < items.length; i += 2)
			made.set(String(items[i]), items[i + 1]);
		return made;
	}

	// -- tables: what comes often looks the same up to its rows

	#knownTable() {
		const buf = this.#buf;
		const at = this.#at;
		for (let i = 0; i < this.#heads.length; i++) {
			const head = this.#heads[i];
			const end = at + head.bytes.length;
			if (end > buf.length || head.bytes.compare(buf, at, end) !== 0)
				continue;
			if (i > 0) {
				this.#heads.splice(i, 1);
				this.#heads.unshift(head);
			}
			this.#open(MAP, 1, false, head.shape);
			this.#at = end;
			return true;
		}
		return false;
	}

	/** Of a map that lacks its last value: null when it is no table. */
	#shapeOf(frame) {
		if (frame.shape !== null)
			return frame.shape;
		const [word, columns, word2, types, word3] = frame.items;
		if (!isWord(word, 'columns') || !isWord(word2, 'types')
			|| !isWord(word3, 'rows'))
			return null;
		if (!Array.isArray(columns) || !Array.isArray(types)
			|| columns.length !== types.length)
			refuse('a table whose columns and types differ');
		const key = JSON.stringify([columns.map(String), types.map(String)]);
		let shape = this.#shapes.get(key);
		if (shape === undefined) {
			shape = new Shape(...JSON.parse(key));
			if (this.#shapes.size >= MAX_SHAPES)
				this.#shapes.clear();
			this.#shapes.set(key, shape);
		}
		frame.shape = shape;
		this.#remember(frame);
		return shape;
	}

	#remember({ buf, start, shape }) {
		if (buf !== this.#buf || this.#at - start > MAX_HEAD)
			return;
		if (this.#heads.length >= MAX_HEADS)
			this.#heads.pop();
		this.#heads.unshift({ shape,
			bytes: Buffer.from(buf.subarray(start, this.#at)) });
	}
}
