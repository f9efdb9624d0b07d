/** The decoder: whatever pieces a reply comes in, and whatever it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtoError } from 'lockkeeper';
import { bulks, Decoder, ErrorReply, Push, Reply, Table } from '../lib/resp.js';

const HEAD = '%3\r\n$7\r\ncolumns\r\n*3\r\n$2\r\nid\r\n$1\r\nv\r\n$1\r\nb\r\n'
	+ '$5\r\ntypes\r\n*3\r\n$7\r\ninteger\r\n$4\r\ntext\r\n$5\r\nbytea\r\n'
	+ '$4\r\nrows\r\n';
const TABLE = `${HEAD}*3\r\n*3\r\n:1\r\n$5\r\na\r\nbc\r\n$1\r\nx\r\n`
	+ '*3\r\n:-2\r\n_\r\n_\r\n*3\r\n_\r\n*2\r\n$1\r\nx\r\n*0\r\n$0\r\n\r\n';
const ROWS = [[1, 'a\r\nbc', Buffer.from('x')], [-2, null, null],
	[null, ['x', []], Buffer.alloc(0)]];

const buffers = (text) => Buffer.from(text);

const REPLIES = [
	['+OK\r\n', 'OK'],
	[':-7\r\n', -7],
	[':9007199254740991\r\n', 9007199254740991],
	[':9007199254740992\r\n', 9007199254740992n],
	[':-9223372036854775808\r\n', -(2n ** 63n)],
	['$0\r\n\r\n', buffers('')],
	['$4\r\n\r\n\r\n\r\n', buffers('\r\n\r\n')],
	['$-1\r\n', null],
	['*-1\r\n', null],
	['_\r\n', null],
	['#t\r\n', true],
	['#f\r\n', false],
	[',1.5e+300\r\n', 1.5e300],
	[',-0\r\n', -0],
	['*0\r\n', []],
	['%0\r\n', new Map()],
	['*2\r\n*1\r\n:1\r\n%1\r\n$1\r\nk\r\n*0\r\n',
		[[1], new Map([['k', []]])]],
	['%3\r\n+a\r\n:1\r\n+b\r\n:2\r\n+c\r\n:3\r\n',
		new Map([['a', 1], ['b', 2], ['c', 3]])],
	['-PG 22012 no\r\n', new ErrorReply('PG 22012 no')],
	['!13\r\nPG 22012 a\r\nb\r\n', new ErrorReply('PG 22012 a\r\nb')],
	['>3\r\n+reply\r\n$2\r\n17\r\n*1\r\n:1\r\n', new Reply('17', [1])],
	['>2\r\n$7\r\nclosing\r\n%0\r\n', new Push('closing', [new Map()])],
	['>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n',
		new Push('message', [buffers('c'), buffers('x')])],
];

function decode(data, ...sizes) {
	const decoder = new Decoder();
	const items = [];
	let at = 0;
	for (const size of [...sizes, data.length]) {
		decoder.feed(data.subarray(at, at + size), (item) =>
			items.push(item));
		at += size;
	}
	assert.equal(decoder.nBytes, data.length);
	return items;
}

test('every kind is read however it is cut', () => {
	for (const [text, value] of REPLIES) {
		const data = buffers(`${text}:5\r\n`);
		for (let cut = 0; cut <= data.length; cut++)
			assert.deepEqual(decode(data, cut), [value, 5]);
	}
});

test('a table is read however it is cut', () => {
	const data = buffers(`${TABLE}*1\r\n*1\r\n${TABLE}`);
	for (let cut = 0; cut <= data.length; cut++) {
		const [table, [[nested]]] = decode(data, cut);
		assert.deepEqual(table.rows, ROWS);
		assert.deepEqual(nested.rows, ROWS);
		assert.deepEqual(table.shape.columns, ['id', 'v', 'b']);
		assert.deepEqual(table.shape.types, ['integer', 'text', 'bytea']);
		assert.equal(table.shape, nested.shape);
	}
});

test('tables without columns have rows, and those without rows end', () => {
	const empty = buffers('%3\r\n$7\r\ncolumns\r\n*0\r\n$5\r\ntypes\r\n'
		+ '*0\r\n$4\r\nrows\r\n*2\r\n*0\r\n*0\r\n');
	const none = buffers(`${HEAD}*0\r\n:1\r\n`);
	for (let cut = 0; cut <= none.length; cut++) {
		assert.deepEqual(decode(empty, cut)[0].rows, [[], []]);
		const [table, one] = decode(none, cut);
		assert(table instanceof Table);
		assert.deepEqual([table.rows, one], [[], 1]);
	}
});

test('a map that looks like a table up to a point is a map', () => {
	const text = '%3\r\n$7\r\ncolumns\r\n*0\r\n$5\r\ntypes\r\n*0\r\n$1\r\nx\r\n';
	assert.deepEqual(decode(buffers(`${text}*1\r\n:1\r\n`)), [new Map([
		['columns', []], ['types', []], ['x', [1]]])]);
});

test('many replies in any pieces', () => {
	const data = buffers(REPLIES.map(([text]) => text).join(''));
	for (let seed = 1; seed < 100; seed++) {
		const sizes = [];
		for (let x = seed, n = 0; n < data.length; n += x % 41 + 1) {
			x = x * 48271 % 2147483647;
			sizes.push(x % 41 + 1);
		}
		assert.deepEqual(decode(data, ...sizes),
			REPLIES.map(([, value]) => value));
	}
});

/** Bytes that are put together while call() runs. */
function copied(call) {
	const { concat } = Buffer;
	let n = 0;
	Buffer.concat = (parts, ...more) => {
		const made = concat.call(Buffer, parts, ...more);
		n += made.length;
		return made;
	};
	try {
		call();
	} finally {
		Buffer.concat = concat;
	}
	return n;
}

test('a long string is not copied for each piece', () => {
	// 64 MiB in pieces of 4 KiB: who starts again each time copies 500 GB.
	const n = 64 << 20;
	const piece = Buffer.alloc(4096, 'x');
	const decoder = new Decoder();
	const items = [];
	const take = (item) => items.push(item);
	assert(copied(() => {
		decoder.feed(buffers(`$${n}\r\n`), take);
		for (let i = 0; i < n / piece.length; i++)
			decoder.feed(piece, take);
		decoder.feed(buffers('\r\n'), take);
	}) < 2 * n);
	assert.deepEqual(items.map((item) => item.length), [n]);
});

test('a long table is not read again for each piece', () => {
	const n = 30000;
	const data = buffers(`${HEAD}*${n}\r\n${
		'*3\r\n:1\r\n*1\r\n$1\r\nx\r\n_\r\n'.repeat(n)}`);
	const pieces = new Array(Math.floor(data.length / 50)).fill(50);
	let table;
	assert(copied(() => {
		[table] = decode(data, ...pieces);
	}) < 4 * data.length);
	assert.equal(table.rows.length, n);
	assert.deepEqual(table.rows[n - 1], [1, ['x'], null]);
});

test('a line that comes byte by byte is put together once', () => {
	const decoder = new Decoder();
	const x = buffers('x');
	let said = '';
	assert(copied(() => {
		decoder.feed(buffers('+'), assert.fail);
		for (let i = 0; i < 65000; i++)
			decoder.feed(x, assert.fail);
		decoder.feed(buffers('\r\n'), (item) => {
			said = item;
		});
	}) < 200000);
	assert.equal(said.length, 65000);
});

for (const text of ['?\r\n', '\r\n', '$3\r\nabcdef\r\n', ':x\r\n', ':\r\n',
	':12345678901234567890\r\n', '$99999999999\r\n', '$-2\r\n', '*-5\r\n',
	'*1.5\r\n', '%-1\r\n', ',abc\r\n', ',\r\n', '#x\r\n', '_x\r\n', '!-1\r\n',
	'+a\rb\r\n', '>0\r\n', '*1\r\n>1\r\n+x\r\n', '*1\r\n'.repeat(40),
	`+${'x'.repeat(70000)}`, `${HEAD}*1\r\n:1\r\n`, `${HEAD}*1\r\n*2\r\n`,
	'GET / HTTP/1.1\r\n',
	'%3\r\n$7\r\ncolumns\r\n*0\r\n$5\r\ntypes\r\n_\r\n$4\r\nrows\r\n*0\r\n']) {
	test(`${JSON.stringify(text.slice(0, 20))} is no reply`, () => {
		for (const cut of [0, 1, 3])
			assert.throws(() => decode(buffers(text), cut), ProtoError);
	});
}

test('random bytes are replies or an error, and nothing else', () => {
	let x = 1;
	for (let i = 0; i < 20000; i++) {
		const bytes = Buffer.from(TABLE + REPLIES[i % REPLIES.length][0]);
		for (let n = 0; n < 3; n++) {
			x = x * 48271 % 2147483647;
			bytes[x % bytes.length] = '+-:$*_#,%!>\r\n019x'.charCodeAt(
				x % 17);
		}
		try {
			decode(bytes, x % bytes.length);
		} catch (error) {
			assert(error instanceof ProtoError, error);
		}
	}
});

test('a request is an array of strings', () => {
	assert.equal(bulks(['SQL', '', null, 'ä\r\n']),
		'$3\r\nSQL\r\n$0\r\n\r\n$-1\r\n$4\r\nä\r\n\r\n');
	assert.deepEqual(bulks(['ä', Buffer.from([0, 255]), 'b']),
		Buffer.concat([buffers('$2\r\nä\r\n$2\r\n'), Buffer.from([0, 255]),
			buffers('\r\n$1\r\nb\r\n')]));
});
