/** Transactions, savepoints, who is in them, units, tasks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { col, connect, DeadlockError, ForeignKeyViolationError, NocolumnError,
	PgError, TransactionEnded, TransactionNotInherited, UnmetError,
	UsageError } from 'lockkeeper';
import { collectGarbage, eventually, isWaiting, PATH, scenario }
	from '../testing/stage.js';

const v = (of, id = 1) => of.fetchval('SELECT v FROM r WHERE id = $1', id);
const read = (lk, id) => v(lk.autocommit(), id);
const put = (of, value, id = 1) =>
	of.execute('UPDATE r SET v = $1 WHERE id = $2', value, id);

scenario('a callback is committed at its end', async (lk) => {
	assert.equal(await lk.transaction(async (tx) => {
		await put(lk, 1);
		assert(tx.isOpen);
		assert.equal(await read(lk), 0);
		assert.equal(await v(lk), 1);
		return 'given';
	}), 'given');
	assert.equal(await read(lk), 1);
});

scenario('one that throws is rolled back', async (lk) => {
	await assert.rejects(lk.transaction(async () => {
		await put(lk, 1);
		await lk.fetch('SELECT 1/0');
	}), PgError);
	const thrown = new Error('mine');
	await assert.rejects(lk.transaction(async () => {
		await put(lk, 1);
		throw thrown;
	}), (error) => error === thrown);
	await assert.rejects(lk.transaction(() => {
		throw thrown;
	}), (error) => error === thrown);
	assert.equal(await v(lk), 0);
});

scenario('what is under way in it ends when it is rolled back', async (lk) => {
	const began = Date.now();
	await assert.rejects(lk.transaction(async () => {
		await Promise.all([
			lk.fetch('SELECT pg_sleep(60)').catch(() => {}),
			sleep(20).then(() => Promise.reject(new Error('mine'))),
		]);
	}), /mine/);
	assert(Date.now() - began < 5000);
});

scenario('one inside of another is a savepoint', async (lk) => {
	await lk.transaction(async (tx) => {
		await put(lk, 1);
		await assert.rejects(lk.transaction(async () => {
			await put(lk, 2);
			await lk.fetch('SELECT 1/0');
		}), PgError);
		assert.equal(await v(lk), 1);
		await tx.transaction(async (inner) => {
			await put(lk, 3);
			await inner.transaction(() => put(lk, 4));
			assert.equal(inner.handle, tx.handle);
			assert.equal(await v(tx), 4);	// the outer one's, from inside
			await assert.rejects(tx.transaction(async () => {
				await put(tx, 5);
				throw new Error('mine');
			}), /mine/);
		});
		await assert.rejects(lk.transaction(() => {},
			{ isolation: 'serializable' }), UsageError);
	});
	assert.equal(await v(lk), 4);
});

scenario('savepoints at the same time go one after another', async (lk) => {
	await lk.transaction(async () => {
		const outcomes = await Promise.allSettled([
			lk.transaction(async () => {
				await put(lk, 5);
				await sleep(5);
				throw new Error('mine');
			}),
			put(lk, 7, 2),	// not to be undone with the first
			lk.transaction(() => put(lk, 8, 3)),
			lk.transaction(async () => assert.equal(await v(lk, 3), 8)),
		]);
		assert.deepEqual(outcomes.map(({ status }) => status),
			['rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
	});
	assert.deepEqual([await v(lk), await v(lk, 2), await v(lk, 3)], [0, 7, 8]);
});

scenario('one of the outer transaction is inside of the inner', async (lk) => {
	await lk.transaction(async (tx) => {
		let go;
		const gone = new Promise((resolve) => {
			go = resolve;
		});
		const failing = lk.transaction(async () => {
			await tx.transaction(() => put(lk, 1));
			go();
			await sleep(20);
			throw new Error('mine');
		});
		await gone;
		await Promise.all([assert.rejects(failing, /mine/),
			put(lk, 7, 2)]);	// not to be undone with it
	});
	assert.deepEqual([await v(lk), await v(lk, 2)], [0, 7]);
});

scenario('a savepoint that nobody awaits is an error', async (lk) => {
	let forgotten;
	await assert.rejects(lk.transaction(async () => {
		await put(lk, 1);
		forgotten = lk.transaction(async () => {
			await put(lk, 2);
			await sleep(50);
			await put(lk, 3);
		});
		forgotten.catch(() => {});
		await put(lk.autocommit(), 0, 2);
	}), /await what transaction\(\) gives/);
	await assert.rejects(forgotten, TransactionEnded);
	assert.equal(await v(lk), 0);
});

scenario('calls at once are in it, in their order', async (lk) => {
	await lk.transaction(() => Promise.all(Array.from({ length: 50 },
		(_, i) => lk.execute('UPDATE r SET v = $1 + 1 WHERE id = 1 AND v = $1',
			i))));
	assert.equal(await v(lk), 50);
});

scenario('it may be ended early', async (lk) => {
	await lk.transaction(async (tx) => {
		await put(lk, 1);
		await tx.rollback();
		await assert.rejects(put(lk, 2), TransactionEnded);
		await assert.rejects(tx.rollback(), TransactionEnded);
		await assert.rejects(lk.transaction(() => {}), TransactionEnded);
		await assert.rejects(lk.unit(() => {}), TransactionEnded);
		assert.throws(() => lk.iterate('SELECT 1'), TransactionEnded);
	});
	assert.equal(await v(lk), 0);
	await lk.transaction(async (outer) => {
		await put(lk, 3);
		await lk.transaction(async (inner) => {
			await put(lk, 4);
			await inner.rollback();
			await assert.rejects(put(lk, 5), TransactionEnded);
		});
		await lk.transaction(async (inner) => {
			await put(lk, 6, 2);
			await inner.commit();
		});
		await lk.transaction(async () => {
			await outer.commit().catch(() => outer.rollback());
			await assert.rejects(put(lk, 7), TransactionEnded);
		});
	});
	assert.deepEqual([await v(lk), await v(lk, 2)], [0, 0]);
});

scenario('what outlives it does not escape', async (lk) => {
	let late;
	await lk.transaction(async () => {
		late = sleep(20).then(() => put(lk, 5));
		late.catch(() => {});
	});
	await assert.rejects(late, TransactionEnded);
	await lk.transaction(async () => {
		late = sleep(20).then(() => lk.autocommit(() => put(lk, 6)));
	});
	await late;
	assert.equal(await v(lk), 6);
});

scenario('what outlives it outside is no chain of it any more', async (lk) => {
	const given = new AbortController();
	let late;
	await lk.transaction(async () => {
		late = lk.autocommit(async () => {
			await sleep(20);
			const slow = lk.options({ signal: given.signal }).fetch(
				'SELECT pg_sleep(600)');
			assert.equal(await v(lk), 0);	// and does not wait for it
			given.abort();
			await assert.rejects(slow, { name: 'AbortError' });
		});
	});
	await late;
});

scenario('another task that is begun in it does not escape', async (lk) => {
	await lk.transaction(async (tx) => {
		await put(lk, 1);
		await assert.rejects(lk.task(() => v(lk)), TransactionNotInherited);
		await assert.rejects(lk.task(() => lk.transaction(() => {})),
			TransactionNotInherited);
		assert.equal(await lk.task(() => v(tx)), 1);
		assert.equal(await lk.task(() => read(lk)), 0);
		assert.equal(await lk.task(() => lk.autocommit(() => v(lk))), 0);
		assert.equal(await v(lk), 1);
		await assert.rejects(lk.unit(() => {}), /savepoint/);
	});
});

scenario('it can be ended by hand', async (lk) => {
	let tx = await lk.begin({ isolation: 'repeatable read' });
	await put(tx, 1);
	assert.equal(await v(lk), 0);
	await tx.commit();
	assert.equal(await v(lk), 1);
	tx = await lk.begin();
	await put(tx, 2);
	await tx.transaction(() => put(lk, 3));
	await tx.rollback();
	await assert.rejects(v(tx), TransactionEnded);
	assert.equal(await v(lk), 1);
});

scenario('one by hand that is never ended is rolled back', async (lk) => {
	const warned = once(process, 'warning');
	const forget = async () => {
		await put(await lk.begin(), 1);
	};
	await forget();
	const ended = await lk.begin();
	await ended.rollback();
	await eventually(async () => {
		collectGarbage();
		return (await lk.call('SHOW', 'transactions')).length === 0;
	}, 'it is rolled back');
	assert.match((await warned)[0].message, /was never ended/);
});

scenario('isolation and reading only are PostgreSQL\'s', async (lk) => {
	for (const isolation of ['read committed', 'repeatable read',
		'serializable']) {
		await lk.transaction(async () => assert.equal(await lk.fetchval(
			"SELECT current_setting('transaction_isolation')"), isolation),
		{ isolation });
	}
	await assert.rejects(lk.transaction(() => put(lk, 1), { readOnly: true }),
		/read-only/);
	await lk.transaction(() => v(lk), { readOnly: true, deferrable: true,
		isolation: 'serializable' });
	await assert.rejects(lk.transaction(() => {}, { isolation: 'none' }),
		/no isolation/);
	await assert.rejects(lk.transaction(() => {}, { readonly: true }),
		/there are isolation, readOnly/);
});

scenario('a deferred constraint fails the commit', async (lk) => {
	await lk.execute(`CREATE TABLE c (id int PRIMARY KEY, r int REFERENCES r
		DEFERRABLE INITIALLY DEFERRED)`);
	await assert.rejects(lk.transaction(() =>
		lk.execute('INSERT INTO c VALUES (1, 1000)')),
	ForeignKeyViolationError);
	assert.equal(await lk.fetchval('SELECT count(*) FROM c'), 0n);
});

scenario('who waits for a lock goes on when it is free', async (lk) => {
	let second;
	await lk.transaction(async () => {
		await put(lk, 1);
		second = lk.autocommit(() => lk.task(() => put(lk, 2)));
		await isWaiting(lk);
	});
	await second;
	assert.equal(await v(lk), 2);
});

scenario('who loses a deadlock can begin again', async (lk) => {
	const met = [];
	const meet = (me) => new Promise((resolve) => {
		met.push(resolve);
		if (met.length === 2)
			met.forEach((go) => go());
	});
	async function transfer(first, second) {
		for (let tries = 1; ; tries++) {
			try {
				await lk.transaction(async () => {
					await lk.execute('UPDATE r SET v = v + 1 WHERE id = $1',
						first);
					if (tries === 1)
						await meet();
					await lk.execute('UPDATE r SET v = v + 1 WHERE id = $1',
						second);
				});
				return tries;
			} catch (error) {
				assert(error instanceof DeadlockError, error);
				assert.equal(error.retry, 'transaction');
				assert.match(error.members, /transfer|transaction/);
			}
		}
	}
	const tries = await Promise.all([transfer(1, 2), transfer(2, 1)]);
	assert.deepEqual(tries.sort(), [1, 2]);
	assert.deepEqual([await v(lk), await v(lk, 2)], [2, 2]);
});

scenario('a holder that awaits who waits for it is found', async (lk) => {
	await lk.transaction(async () => {
		await put(lk, 1);
		// The same chain, outside: nothing has to be said.
		await assert.rejects(lk.autocommit(() => put(lk, 2)), DeadlockError);
		// Another task, and the wait for that is said.
		const other = lk.autocommit(() => lk.task(() => put(lk, 3)));
		await assert.rejects(lk.awaiting(other), DeadlockError);
		const two = lk.autocommit(() => [lk.task(() => put(lk, 4)),
			lk.task(() => v(lk))]);
		await lk.awaiting(two, { any: true });
		await assert.rejects(lk.awaiting(two), DeadlockError);
	});
	assert.equal(await v(lk), 1);
	await assert.rejects(lk.awaiting(Promise.resolve()), UsageError);
	assert.equal(await lk.awaiting(lk.task(() => 5)), 5);
});

scenario('what a task does at the same time is no deadlock', async (lk) => {
	await lk.task(() => Promise.all([
		...Array.from({ length: 5 }, () => lk.transaction(async () => {
			await lk.execute('UPDATE r SET v = v + 1 WHERE id = 1');
			await sleep(20);
			await lk.execute('UPDATE r SET v = v + 1 WHERE id = 1');
		})),
		lk.execute('UPDATE r SET v = v + 1 WHERE id = 1'),
		lk.unit((u) => u.update('r', 1, { v: col('v').plus(1) })),
	]));
	assert.equal(await v(lk), 12);
});

scenario('what is awaited in two places at once is not said', async (lk) => {
	await lk.task(async () => {
		let end;
		const open = new Promise((resolve) => {
			end = resolve;
		});
		const awaits = async () => (await lk.call('SHOW', 'tasks')).map(
			(task) => task.awaits.length).reduce((a, b) => a + b);
		const one = lk.awaiting(lk.task(() => open));
		await eventually(async () => await awaits() === 1, 'one is said');
		const two = lk.awaiting(lk.task(() => open));
		await eventually(async () => await awaits() === 0, 'none is');
		end();
		await Promise.all([one, two]);
	});
});

scenario('two clients\' transactions do not mix', async (one) => {
	const two = await connect(PATH);
	await one.transaction(async () => {
		await put(one, 1);
		assert.equal(await v(two), 0);
		await two.transaction(async () => {
			assert.equal(await v(one), 1);
			assert.equal(await v(two), 0);
		});
	});
	await two.close();
});

scenario('a unit is sent whole', async (lk) => {
	await lk.execute(`CREATE TABLE a (id int8 PRIMARY KEY GENERATED ALWAYS AS
		IDENTITY, owner text)`);
	await lk.execute('CREATE TABLE log (a_id int8, text text, b bytea)');
	let made;
	const b = Buffer.from([0, 255]);
	const values = await lk.unit(async (u) => {
		made = u.create('a', { owner: 'Ann' });
		u.create('log', { a_id: made.ref('id'), text: 'made', b });
		u.execute('INSERT INTO log VALUES ($1, $2)', made.ref('id'), 'again');
		u.find('log', { a_id: made.ref('id') });
		u.fetchval('SELECT count(*) FROM log');
		u.must.fetchrow('SELECT 1 AS x');
		u.get('a', 100);
		assert.throws(() => made.value, UsageError);
	}, { retry: 5 });
	assert.deepEqual(made.value, { id: 1n, owner: 'Ann' });
	assert.deepEqual(values, [made.value, { a_id: 1n, text: 'made', b },
		'INSERT 0 1', [{ a_id: 1n, text: 'made', b },
			{ a_id: 1n, text: 'again', b: null }], 2n, { x: 1 }, null]);
	assert.equal((await lk.call('SHOW', 'unit')).retry, 5);
	assert.deepEqual(await lk.unit(() => {}), []);
	await assert.rejects(lk.unit((u) => u.update('a', made.ref('id'),
		{ owner: 'Bob' })), /own unit/);
	await assert.rejects(lk.get('a', made.ref('id')), /own unit/);
});

scenario('a unit\'s changes are all or nothing', async (lk) => {
	const fails = async (make, cls) => {
		const error = await lk.unit(make).catch((caught) => caught);
		assert(error instanceof cls, error);
		return error.index;
	};
	assert.equal(await fails((u) => {
		u.update('r', 1, { v: col('v').plus(5) });
		u.must.update('r', 2, { v: 0 }, { if: col('v').ge(5) });
	}, UnmetError), 2);
	assert.equal(await fails((u) => {
		u.update('r', 1, { v: 5 });
		u.update('r', 1, { w: 5 });
	}, NocolumnError), 2);
	await fails(() => {
		throw new RangeError();
	}, RangeError);
	await fails((u) => u.update('r', 1, { v: undefined }), Error);
	assert.equal(await v(lk), 0);
	await lk.task(() => lk.unit((u) => u.update('r', 1, { v: 2 }),
		{ isolation: 'serializable', database: 'main' }));
	assert.equal(await v(lk), 2);
});
