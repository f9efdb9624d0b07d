/** Calls, rows, models and errors. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { and, CheckViolationError, col, connect, DataError, DeadlockError, defaultValue,
	everything, ExclusionViolationError, ForeignKeyViolationError,
	IntegrityError, LockkeeperError, LocktimeoutError, NocolumnError,
	NomodelError, not, NotNullViolationError, or, PgError, related,
	RequestSyntaxError, TimeoutError, UniqueViolationError, UnmetError,
	UsageError } from 'lockkeeper';
import { collectGarbage, PATH, scenario } from '../testing/stage.js';

// All at once, for the daemon looks for new ones once a second.
scenario('tables are models', async (lk) => {
	for (const statement of [
		`CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
			name text UNIQUE, age int, "order" int)`,
		`CREATE TABLE posts (id int PRIMARY KEY, title text, n bigint,
			b bytea, author_id int REFERENCES users)`,
		'CREATE TABLE e (id int PRIMARY KEY, data jsonb)',
		`CREATE TABLE c (id int PRIMARY KEY, v int NOT NULL CHECK (v > 0),
			r int REFERENCES r, u int UNIQUE,
			EXCLUDE USING gist (int4range(u, u + 1) WITH &&))`,
		`CREATE TABLE s (id int PRIMARY KEY, n bigint,
			r_id int REFERENCES r)`,
		'INSERT INTO s SELECT g, g, g FROM generate_series(1, 100) g',
	])
		await lk.execute(statement);
	assert.equal(await lk.count('s', col('n').gt(90n)), 10);
	assert.deepEqual((await lk.call('MODELS')).map(({ model }) => model),
		['c', 'e', 'posts', 'r', 's', 'users']);
});

scenario('any verb can be called', async (lk) => {
	assert.equal(await lk.call('PING'), 'PONG');
	assert.deepEqual(await lk.call('GET', 'r', 3), { id: 3, v: 0 });
	assert.equal(await lk.call('GET', 'r', 300), null);
	assert.equal(await lk.call('COUNT', 'r'), 100);
	const rows = await lk.call('FIND', 'r', 'ORDER', '-id', 'LIMIT', 2);
	assert.deepEqual(rows.map((row) => row.id), [100, 99]);
	assert.equal(await lk.call('SQL', 'UPDATE r SET v = 0 WHERE id = 1'),
		'UPDATE 1');
	const [client] = await lk.call('SHOW', 'clients');
	assert.equal(client.mode, 'async');
	assert.equal(client.name, 'client.test.js');
});

scenario('statements reply with rows, a row, a value or a tag', async (lk) => {
	assert.deepEqual(await lk.fetch(
		'SELECT id FROM r WHERE id < $1 ORDER BY id', 3), [{ id: 1 }, { id: 2 }]);
	assert.deepEqual(await lk.fetch('SELECT 1 WHERE false'), []);
	assert.deepEqual(await lk.fetch('UPDATE r SET v = v WHERE id = 1'), []);
	assert.deepEqual(await lk.fetchrow('SELECT 1 AS a, 2 AS b'),
		{ a: 1, b: 2 });
	assert.equal(await lk.fetchrow('SELECT 1 WHERE false'), null);
	assert.equal(await lk.fetchrow('UPDATE r SET v = v'), null);
	assert.equal(await lk.fetchval('SELECT 7 AS "2", 8 AS "1"'), 7);
	assert.equal(await lk.fetchval('SELECT 1 WHERE false'), null);
	assert.equal(await lk.fetchval('SELECT NULL'), null);
	assert.equal(await lk.execute('DELETE FROM r WHERE id > $1', 1000),
		'DELETE 0');
	assert.equal(await lk.execute('SELECT * FROM r WHERE id < 4'), 'SELECT 3');
});

scenario('rows are plain objects whatever columns are called', async (lk) => {
	const row = await lk.fetchrow('SELECT 1 AS id, 2 AS id, 3 AS "__proto__", '
		+ '4 AS "toString"');
	assert.deepEqual(Object.entries(row), [['id', 1], ['id_2', 2],
		['__proto__', 3], ['toString', 4]]);
	assert.equal(Object.getPrototypeOf(row), Object.prototype);
});

scenario('models are read and changed', async (lk) => {
	const names = (rows) => rows.map(({ name }) => name);
	const ann = await lk.create('users', { name: 'Ann', age: 30 });
	assert.deepEqual(ann, { id: 1, name: 'Ann', age: 30, order: null });
	assert.equal(await lk.createMany('users', [{ name: 'Bob', age: 20 },
		{ name: 'Cid', age: null }]), 2);
	await assert.rejects(lk.createMany('users', []), UsageError);
	assert.deepEqual(await lk.get('users', 1), ann);
	assert.deepEqual(await lk.get('users', [1]), ann);
	assert.equal(await lk.get('users', 9), null);
	assert.deepEqual(await lk.get('users', 2, { fields: ['name'] }),
		{ name: 'Bob' });
	assert.deepEqual(names(await lk.find('users', and(col('age').ge(20),
		not(col('name').like('B%'))))), ['Ann']);
	assert.deepEqual(names(await lk.find('users', or({ name: 'Cid' },
		{ name: 'Bob', age: 20 }).and({ age: null }))), ['Cid']);
	assert.deepEqual(names(await lk.find('users', everything,
		{ orderBy: ['-id'], limit: 2 })), ['Cid', 'Bob']);
	assert.deepEqual(names(await lk.find('users', null,
		{ orderBy: ['id'], after: [1], offset: 1 })), ['Cid']);
	assert.equal((await lk.one('users', { name: 'Bob' })).age, 20);
	await assert.rejects(lk.one('users'), UnmetError);
	assert.equal((await lk.first('users', null,
		{ orderBy: [col('age').desc()] })).name, 'Cid');
	assert.equal(await lk.first('users', { age: 99 }), null);
	assert.equal(await lk.count('users'), 3);
	assert.equal(await lk.count('users', { age: null }), 1);
	assert.equal(await lk.exists('users', { name: 'Cid' }), true);
	assert.equal(await lk.exists('users', { name: 'Dan' }), false);
	const row = await lk.update('users', 1,
		{ age: col('age').plus(5), order: 2 });
	assert.deepEqual([row.age, row.order], [35, 2]);
	assert.deepEqual(await lk.find('users', { order: 2 }), [row]);
	assert.equal(await lk.update('users', 1, { age: 0 },
		{ if: col('age').eq(1) }), null);
	assert.equal((await lk.upsert('users', { name: 'Bob',
		age: col('age').plus(1) }, { on: ['name'] })).age, 21);
	assert.equal(await lk.updateAll('users', col('age').isNull(),
		{ age: defaultValue }), 1);
	assert.equal(await lk.updateAll('users', everything, { age: 1 }), 3);
	assert.throws(() => col('a').plus(1).words('b'), UsageError);
	const post = { id: 1, title: 'Hi', n: 5n, b: Buffer.from([0, 255]),
		author_id: 1 };
	await lk.create('posts', post);
	assert.deepEqual((await lk.get('users', 1, { with: ['posts'] })).posts,
		[post]);
	assert.deepEqual((await lk.get('users', 2, { with: ['posts'] })).posts,
		[]);
	const deep = await lk.get('posts', 1, { with: [related('author', {
		with: [related('posts', { limit: 1, orderBy: ['-id'] })] })] });
	assert.deepEqual(deep.author.posts, [post]);
	assert.equal((await lk.find('posts', null, { with: ['author.posts'] }))[0]
		.author.posts[0].n, 5n);
	assert.equal((await lk.load('posts', 1, 'author')).name, 'Ann');
	assert.deepEqual(await lk.load('users', 1, 'posts'), [post]);
	assert.deepEqual(await lk.find('posts', col('author', 'name').eq('Ann')),
		[post]);
	assert.equal(await lk.delete('posts', 1), true);
	assert.equal(await lk.delete('posts', 1), false);
	assert.equal(await lk.deleteAll('users', col('id').in([2, 3])), 2);
	assert.deepEqual(await lk.find('users', col('id').in([])), []);
	await assert.rejects(lk.find('users', {}), UsageError);
	await assert.rejects(lk.find('users', null, { order: ['id'] }),
		/there are .*orderBy/);
});

scenario('conditions go into JSON', async (lk) => {
	await lk.create('e', { id: 1, data: { user: { age: 31, 'na me': 'Ann' },
		tags: ['a', 'b'], ok: true } });
	await lk.create('e', { id: 2, data: { user: { age: 9 } } });
	const data = col('data');
	const ids = async (where) =>
		(await lk.find('e', where)).map(({ id }) => id);
	assert.deepEqual(await ids(data.at('user', 'age').gt(10)), [1]);
	assert.deepEqual(await ids(data.at('user').at('na me').eq('Ann')), [1]);
	assert.deepEqual(await ids(data.at('tags', 1).eq('b')), [1]);
	assert.deepEqual(await ids(data.at('ok').eq(true)), [1]);
	assert.deepEqual(await ids(data.at('user', 'age').as('int')
		.between(5, 10)), [2]);
	assert.deepEqual(await ids(data.contains({ user: { age: 9 } })), [2]);
	assert.deepEqual(await ids(data.hasKey('tags')), [1]);
	assert.deepEqual(await ids(data.at('tags').isNull()), [2]);
});

scenario('each error has its class and its fields', async (lk) => {
	async function fails(made, sql, ...args) {
		const error = await lk.fetch(sql, ...args).catch((caught) => caught);
		assert.equal(error.constructor, made);
		assert(error instanceof LockkeeperError);
		return error;
	}
	let error = await fails(PgError, 'SELECT 1/0');
	assert.deepEqual([error.kind, error.sqlstate, error.retry, error.message,
		error.name], ['PG', '22012', 'no', 'division by zero', 'PgError']);
	assert.match(error.stack, /fails.*client\.test\.js/);
	error = await fails(PgError, 'SELECT nothing');
	assert.deepEqual([error.sqlstate, error.position], ['42703', 8]);
	const put = 'INSERT INTO c VALUES ($1, $2, $3, $4)';
	await lk.execute(put, 1, 1, 1, 1);
	error = await fails(UniqueViolationError, put, 1, 1, 1, 2);
	assert.deepEqual([error.table, error.constraint, error.detail],
		['c', 'c_pkey', 'Key (id)=(1) already exists.']);
	assert(error instanceof IntegrityError && error instanceof PgError);
	error = await fails(NotNullViolationError, put, 2, null, 1, 2);
	assert.equal(error.column, 'v');
	await fails(CheckViolationError, put, 2, 0, 1, 2);
	await fails(ForeignKeyViolationError, put, 2, 1, 1000, 2);
	await lk.execute('ALTER TABLE c DROP CONSTRAINT c_u_key');
	await fails(ExclusionViolationError, put, 2, 1, 1, 1);
	await fails(RequestSyntaxError, 'BEGIN');
	await fails(DataError, 'SELECT $1', undefined);
	await fails(DataError, 'SELECT $1', new Map());
	await Promise.all([
		assert.rejects(lk.get('nothing', 1), NomodelError),
		assert.rejects(lk.find('r', { w: 1 }), NocolumnError),
		assert.rejects(lk.options({ timeout: 50 }).fetch(
			'SELECT pg_sleep(60)'), TimeoutError),
	]);
	assert.throws(() => lk.options({ timeout: -1 }), UsageError);
	assert.throws(() => lk.options({ timeOut: 1 }), UsageError);
});

scenario('a lock that is not to be had names who holds it', async (lk) => {
	await lk.transaction(async (tx) => {
		await tx.execute('UPDATE r SET v = 1 WHERE id = 1');
		await assert.rejects(lk.autocommit().options({ lockTimeout: 0 })
			.execute('UPDATE r SET v = 2 WHERE id = 1'), LocktimeoutError);
	});
});

scenario('writes of one turn of the event loop leave together', async (lk) => {
	const { write } = Socket.prototype;
	const written = [];
	Socket.prototype.write = function (data, ...more) {
		if (String(data).includes('\r\nGET\r\n'))
			written.push(data);
		return write.call(this, data, ...more);
	};
	try {
		const rows = await Promise.all(Array.from({ length: 50 },
			async (_, i) => {
				await null;
				return lk.get('r', i + 1);
			}));
		assert.deepEqual(rows.map(({ id }) => id),
			Array.from({ length: 50 }, (_, i) => i + 1));
	} finally {
		Socket.prototype.write = write;
	}
	assert.equal(written.length, 1);
});

scenario('a thousand gets at once are few statements', async (lk) => {
	await lk.get('r', 1);
	const before = await lk.call('SHOW', 'stats');
	const rows = await Promise.all(Array.from({ length: 1000 },
		(_, i) => lk.get('r', i % 100 + 1)));
	rows.forEach((row, i) => assert.equal(row.id, i % 100 + 1));
	const after = await lk.call('SHOW', 'stats');
	const more = (name) => after[name] - before[name];
	assert(more('coalesced') > 500, `${more('coalesced')} coalesced`);
	assert(more('statements') < 500, `${more('statements')} statements`);
});

scenario('the same in a task', async (lk) => {
	const before = await lk.call('SHOW', 'stats');
	await lk.task(() => Promise.all(Array.from({ length: 1000 },
		(_, i) => lk.get('r', i % 100 + 1))));
	const { coalesced } = await lk.call('SHOW', 'stats');
	assert(coalesced - before.coalesced > 500);
});

scenario('replies that are large come by another connection', async (lk) => {
	const large = await lk.options({ bulk: true }).fetchval(
		'SELECT repeat($1, 1000000)', 'x');
	assert.equal(large.length, 1000000);
	assert.equal((await lk.call('SHOW', 'clients')).length, 2);
});

scenario('more requests than the socket takes wait here', async (lk) => {
	const text = 'x'.repeat(100000);
	const lengths = await Promise.all(Array.from({ length: 200 },
		() => lk.fetchval('SELECT length($1)', text)));
	assert.deepEqual(new Set(lengths), new Set([100000]));
});

scenario('a hundred thousand rows need the memory of some', async (lk) => {
	const used = () => {
		collectGarbage();
		const { heapUsed, external } = process.memoryUsage();
		return heapUsed + external;
	};
	const before = used();
	let n = 0;
	let most = 0;
	for await (const row of lk.iterate(
		"SELECT g, repeat('x', 200) AS t FROM generate_series(1, $1) g", 1e5)) {
		n++;
		assert.equal(row.g, n);
		if (n % 10000 === 0)
			most = Math.max(most, used() - before);
	}
	assert.equal(n, 100000);
	assert(most < 4 << 20, `${most} bytes more were in use`);
});

scenario('rows of a model some at a time, with related ones', async (lk) => {
	let sum = 0n;
	const patient = lk.options({ timeout: 5000, lockTimeout: 5000,
		replay: true });
	for await (const { n, r } of patient.each('s', col('id').le(90), {
		orderBy: ['id'], with: ['r'] })) {
		assert.equal(BigInt(r.id), n);
		sum += n;
	}
	assert.equal(sum, 4095n);
});

scenario('a loop that is left early closes its cursor', async (lk) => {
	for await (const row of lk.iterate('SELECT * FROM r')) {
		assert.equal((await lk.call('SHOW', 'transactions')).length, 1);
		if (row.id > 0)
			break;
	}
	assert.deepEqual(await lk.call('SHOW', 'transactions'), []);
	await assert.rejects(async () => {
		for await (const row of lk.iterate('SELECT 1/(50 - id) FROM r'))
			assert(row);
	}, /zero/);
});

scenario('a cursor in a transaction sees it', async (lk) => {
	await lk.transaction(async (tx) => {
		await lk.execute('UPDATE r SET v = 5 WHERE id = 1');
		const seen = [];
		for await (const row of lk.iterate(
			'SELECT v FROM r WHERE id <= $1 ORDER BY id', 2))
			seen.push(row);
		assert.deepEqual(seen, [{ v: 5 }, { v: 0 }]);
		for await (const row of lk.iterate('SELECT * FROM r')) {
			assert(row);
			break;
		}
		assert.deepEqual((await lk.call('SHOW', 'tx', tx.handle)).cursors,
			[]);
	});
});

scenario('the names of tasks are in SHOW', async (lk) => {
	const name = 'handle\norder';
	const [mine] = await lk.task(async () => {
		const tx = await lk.begin();
		const txs = await lk.call('SHOW', 'transactions');
		await tx.rollback();
		return txs;
	}, { name });
	assert.match(mine.task, /^handle\?order\/\d+$/);
	const handled = await lk.handler(async function greet(id) {
		return lk.get('r', id);
	})(7);
	assert.deepEqual(handled, { id: 7, v: 0 });
});

scenario('what keeps it from connecting is said', async () => {
	await assert.rejects(connect('/nowhere/socket'),
		/no connection to \/nowhere\/socket: .*ENOENT/);
	await assert.rejects(connect(PATH, { database: 'other' }),
		/database other/);
	await assert.rejects(connect(PATH, { int8: 'string' }), UsageError);
	await assert.rejects(connect(PATH, { databse: 'x' }), /there are database/);
});

scenario('what the daemon says unasked is heard', async (lk) => {
	const told = new Promise((resolve) => lk.on('deadlock', resolve));
	await lk.transaction(async () => {
		await lk.execute('UPDATE r SET v = 1 WHERE id = 1');
		await assert.rejects(lk.autocommit().execute(
			'UPDATE r SET v = 2 WHERE id = 1'), DeadlockError);
	});
	assert.match((await told).text, /transaction\/\d+ of client/);
	assert.throws(() => lk.on('deadlocks', assert.fail), /it says lockwait/);
	lk.on('lockwait', assert.fail).off('lockwait', assert.fail);
});
