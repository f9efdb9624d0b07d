/** PostgreSQL's types as JavaScript's, both ways. */
import assert from 'node:assert/strict';
import { DataError, json } from 'lockkeeper';
import { scenario } from '../testing/stage.js';

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

// Of a type: values that, sent as a parameter of it, come back the same.
const BOTH_WAYS = {
	bool: [true, false],
	int2: [-32768, 0], int4: [2147483647, -2147483648],
	oid: [4294967295, 0],
	int8: [-(2n ** 63n), 2n ** 63n - 1n, 0n, 2n ** 53n + 1n],
	float4: [0.5, -0, Infinity], float8: [1.7976931348623157e308, 5e-324, -0,
		0.1, 1e21, Infinity, -Infinity, NaN, 123456789012345680],
	numeric: ['0.1', '-0.000000000000000000000000000001', '1.00', 'NaN',
		`1${'0'.repeat(60)}`, 'Infinity'],
	text: ['', 'NULL', 'ä\r\n"\'\\\t𝄞', 'x'.repeat(100000)],
	varchar: ['x'], bpchar: ['x'], name: ['n'], xml: ['<a/>'],
	bytea: [Buffer.alloc(0), BYTES],
	uuid: ['00000000-0000-0000-0000-000000000000'],
	date: ['0001-01-02', '9999-12-31', '20000-01-01', '4000-01-01 BC',
		'infinity', '-infinity', '2024-02-29'],
	time: ['00:00:00', '24:00:00', '23:59:59.999999'],
	timetz: ['01:02:03+05:30'],
	timestamp: ['0001-01-01 00:00:00.000001', 'infinity',
		'294276-12-31 23:59:59.999999'],
	timestamptz: ['2026-11-26 01:02:03.4+00', '-infinity',
		'4714-11-24 00:00:00+00 BC'],
	interval: ['00:00:00', '1 mon 2 days 00:00:00.000003',
		'-1 years -2 mons +31 days -00:00:00.000001'],
	json: [{ a: [1, 2.5, null, true, 'ä'] }], jsonb: [{}, { __proto__: null,
		b: { c: '"' } }].map((each) => ({ ...each })),
	inet: ['192.0.2.1', '2001:db8::1/64'], cidr: ['192.0.2.0/24'],
	int4range: ['[1,5)', 'empty'], tstzrange: [
		'["2026-01-01 00:00:00+00",)'],
	int4multirange: ['{[1,2),[5,)}'],
	'int4[]': [[], [1, null, 3], [[1, 2], [3, 4]]],
	'int8[]': [[2n ** 63n - 1n, null, -1n], [[1n], [2n]]],
	'text[]': [['', 'NULL', 'null', null, 'a,b', '{}', '"\\', ' ', 'ä', '\n']],
	'bool[]': [[true, null, false]], 'float8[]': [[0.5, Infinity, NaN, -0]],
	'numeric[]': [['1.5', null]],
	'bytea[]': [[Buffer.alloc(0), BYTES, Buffer.from('\\'), null]],
	'uuid[]': [['00000000-0000-0000-0000-000000000005']],
	'date[]': [['2026-01-01', 'infinity']],
	'timestamptz[]': [['2026-01-01 01:00:00+00']],
	'jsonb[]': [[{ a: '"' }, { b: null }, null]],
	// Of types of the test's own, see SCHEMA.
	mood: ['so so'], 'mood[]': [['sad', 'so so', null]],
	amount: ['1.50'], words: [['a', 'b']], big: [2n ** 60n],
	'big[]': [[2n ** 60n, null]], bits: [Buffer.from('ä')], 'bits[]': [[BYTES]],
	bigger: [7n], pair: ['(1,x)', '(,)', '(2,"a""b\\\\,()")'],
	'pair[]': [['(1,x)', null]],
};

const SCHEMA = [
	"CREATE TYPE mood AS ENUM ('sad', 'so so')",
	'CREATE DOMAIN amount AS numeric CHECK (value >= 0)',
	'CREATE DOMAIN words AS text[]', 'CREATE DOMAIN big AS int8',
	'CREATE DOMAIN bigger AS big', 'CREATE DOMAIN bits AS bytea',
	'CREATE TYPE pair AS (a int, b text)',
];

const ALL = Object.entries(BOTH_WAYS).flatMap(([type, values]) =>
	values.map((value) => ({ type, value })));

scenario('values come back as they went', async (lk) => {
	for (const statement of SCHEMA)
		await lk.execute(statement);
	await Promise.all(ALL.map(async ({ type, value }) => {
		assert.deepEqual(await lk.fetchval(`SELECT $1::${type}`, value), value,
			type);
		assert.equal(await lk.fetchval(`SELECT $1::${type}`, null), null);
	}));
});

scenario('values of models come back, also beside related rows', async (lk) => {
	const types = Object.keys(BOTH_WAYS);
	await lk.execute(`CREATE TABLE one (id int PRIMARY KEY, one_id int
		REFERENCES one, ${types.map((type, i) => `c${i} ${type}`)})`);
	await Promise.all(ALL.map(async ({ type, value }, id) => {
		const column = `c${types.indexOf(type)}`;
		const made = await lk.create('one', { id, one_id: id,
			[column]: value });
		assert.deepEqual(made[column], value, type);
		const { one, ...row } = await lk.get('one', id, { with: ['one'] });
		assert.deepEqual(row[column], value, type);
		assert.deepEqual(one, row);
		assert.deepEqual(row, made);
	}));
});

scenario('columns with modifiers and domains have their types', async (lk) => {
	await lk.execute(`CREATE TABLE m (id int PRIMARY KEY, m_id int REFERENCES m,
		n numeric(10,2), v varchar(5), z timestamptz(0),
		i interval day to second(2), k big, ns numeric(4,1)[])`);
	const row = { id: 1, m_id: 1, n: '1.50', v: 'x',
		z: '2026-01-01 00:00:00+00', i: '1 day', k: 5n, ns: ['0.5'] };
	assert.deepEqual(await lk.create('m', row), row);
	assert.deepEqual(await lk.get('m', 1, { with: ['m'] }),
		{ ...row, m: row });
});

scenario('other forms of JavaScript are understood', async (lk) => {
	for (const [type, value, expected] of [
		['text', 5, '5'], ['text', true, 'true'], ['int8', 5, 5n],
		['numeric', 5n, '5'], ['float8', 5n, 5], ['int4', -0, 0],
		['jsonb', json([1, 'a']), [1, 'a']], ['jsonb', json('a'), 'a'],
		['jsonb', json(null), null], ['json', '{"a": 1}', { a: 1 }],
		['jsonb', Object.create(null), {}],
		['bytea', new Uint8Array([1, 2]), Buffer.from([1, 2])],
		['bytea[]', [new Uint8Array([1])], [Buffer.from([1])]],
		['timestamptz', new Date(Date.UTC(2026, 0, 1, 5, 30)),
			'2026-01-01 05:30:00+00'],
		['timestamptz', new Date(8.64e15), '275760-09-13 00:00:00+00'],
		['timestamptz', new Date(-62198755200000),
			'0002-01-01 00:00:00+00 BC'],
		['timestamptz[]', [new Date(0)], ['1970-01-01 00:00:00+00']],
	]) {
		assert.deepEqual(await lk.fetchval(`SELECT $1::${type}`, value),
			expected, type);
	}
	for (const value of [undefined, Symbol('x'), () => 1, new Date(NaN),
		new Map(), { a: 1n }, json(undefined), [undefined]])
		await assert.rejects(lk.fetch('SELECT $1', value), DataError);
});

scenario('int8 may be numbers, and then they are exact', async (lk) => {
	assert.equal(await lk.fetchval('SELECT $1::int8', 2n ** 53n - 1n),
		Number.MAX_SAFE_INTEGER);
	assert.deepEqual(await lk.fetchval("SELECT '{1,NULL}'::int8[]"),
		[1, null]);
	for (const value of [2n ** 53n, -(2n ** 63n)])
		await assert.rejects(lk.fetchval('SELECT $1::int8', value),
			(error) => error instanceof DataError
				&& /as ::text/.test(error.message));
	assert.equal(await lk.fetchval('SELECT 1'), 1);
}, { int8: 'number' });

scenario('timestamptz may be a Date', async (lk) => {
	for (const date of [new Date(0), new Date(1795651200123),
		new Date(-62198755200000), new Date(8.64e15), new Date(-1)])
		assert.deepEqual(await lk.fetchval('SELECT $1::timestamptz', date),
			date);
	assert.deepEqual(await lk.fetchval(
		"SELECT ARRAY['1970-01-01 00:00:00.0019+00'::timestamptz, NULL]"),
	[new Date(1), null]);
	assert.equal(await lk.fetchval("SELECT '2026-01-01'::timestamp"),
		'2026-01-01 00:00:00');
	for (const text of ['infinity', '290000-01-01'])
		await assert.rejects(lk.fetchval(`SELECT '${text}'::timestamptz`),
			/have it as ::text/);
}, { timestamptz: 'date' });

scenario('a type made in the transaction is known there', async (lk) => {
	await lk.transaction(async () => {
		await lk.execute('CREATE DOMAIN inner_big AS int8');
		assert.deepEqual(await lk.fetchval("SELECT '{1}'::inner_big[]"), [1n]);
	});
});
