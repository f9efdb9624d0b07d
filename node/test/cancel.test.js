/** What is given up leaves nothing of it behind in the daemon. */
import assert from 'node:assert/strict';
import { LockkeeperError } from 'lockkeeper';
import { setTimeout as sleep } from 'node:timers/promises';
import { becomesClean, isWaiting, scenario } from '../testing/stage.js';

const runs = (lk) => lk.fetchval(`SELECT count(*)::int FROM pg_stat_activity
	WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'`);

scenario('an aborted call is ended in the daemon', async (lk) => {
	const given = new AbortController();
	const slow = lk.options({ signal: given.signal }).fetch(
		'SELECT pg_sleep(600)');
	while (await runs(lk) === 0)
		await sleep(5);
	const reason = new Error('enough');
	const began = Date.now();
	given.abort(reason);
	await assert.rejects(slow, (error) => error === reason);
	assert(Date.now() - began < 100);	// nothing was waited for
	await becomesClean(lk);
	assert.equal(await runs(lk), 0);
	const { requests } = await lk.call('SHOW', 'stats');
	await assert.rejects(lk.options({ signal: given.signal }).get('r', 1),
		(error) => error === reason);
	assert.equal((await lk.call('SHOW', 'stats')).requests, requests + 1);
});

scenario('a signal ends a transaction, wherever it is', async (lk) => {
	for (const play of [
		() => lk.fetch('SELECT pg_sleep(600)'),
		() => sleep(100),
		() => lk.transaction(() => lk.fetch('SELECT pg_sleep(600)')),
		() => lk.transaction(() => sleep(100), {}),
	]) {
		await assert.rejects(lk.transaction(async () => {
			await lk.execute('UPDATE r SET v = 9 WHERE id = 1');
			await play();
		}, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
		await becomesClean(lk);
	}
	await lk.transaction(async () => {
		await assert.rejects(lk.transaction(() =>
			lk.fetch('SELECT pg_sleep(600)'),
		{ signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
		assert.equal(await lk.fetchval('SELECT 1'), 1);
	});
	assert.equal((await lk.get('r', 1)).v, 0);
});

scenario('an aborted loop ends its cursor', async (lk) => {
	const given = new AbortController();
	await assert.rejects(async () => {
		for await (const { g } of lk.options({ signal: given.signal }).iterate(
			'SELECT * FROM generate_series(1, 1000000) g')) {
			if (g === 100)
				given.abort();
		}
	}, { name: 'AbortError' });
});

scenario('an aborted unit leaves nothing', async (lk) => {
	await lk.transaction(async () => {
		await lk.execute('UPDATE r SET v = 1 WHERE id = 1');
		const given = new AbortController();
		const unit = lk.autocommit(() => lk.task(() => lk.unit((u) => {
			u.update('r', 2, { v: 9 });
			u.update('r', 1, { v: 9 });
		}, { signal: given.signal })));
		await isWaiting(lk);
		given.abort();
		await assert.rejects(unit, { name: 'AbortError' });
		// Else it may be done before it is ended.
		await isWaiting(lk, false);
	});
	await becomesClean(lk);
	assert.equal((await lk.get('r', 2)).v, 0);
});

scenario('one that was aborted before its turn is forgotten', async (lk) => {
	await lk.transaction(() => lk.autocommit(async () => {
		const slow = lk.fetch('SELECT pg_sleep(0.1)');
		await assert.rejects(lk.unit((u) => u.update('r', 1, { v: 9 }),
			{ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
		await slow;
		assert.equal(await lk.fetchval('SELECT v FROM r WHERE id = 1'), 0);
	}));
});

scenario('random aborts and deadlines leave nothing', async (lk) => {
	let x = 11;
	const random = (n) => {
		x = x * 48271 % 2147483647;
		return x % n;
	};
	const update = (of) => of.execute('UPDATE r SET v = v + 1 WHERE id = $1',
		random(5) + 1);
	const kinds = [
		(of) => of.get('r', random(100) + 1),
		update,
		(of, signal) => of.transaction(async () => {
			await update(lk);
			if (random(3) === 0)
				await lk.transaction(() => update(lk));
			await null;
		}, { signal }),
		(of, signal) => lk.unit((u) => {
			update(u);
			u.get('r', 1);
		}, { retry: 50, signal }),
		async (of) => {
			for await (const { id } of of.iterate('SELECT * FROM r')) {
				if (id === 40)
					break;
			}
		},
		(of) => of.fetch('SELECT pg_sleep(1)'),
	];
	let nAborted = 0;
	async function one() {
		const kind = kinds[random(kinds.length)];
		const given = new AbortController();
		const { signal } = given;
		const timer = setTimeout(() => given.abort(), random(20));
		try {
			await kind(lk.options(random(2) ? { signal }
				: { signal, timeout: random(20) }), signal);
		} catch (error) {
			nAborted += error.name === 'AbortError';
			assert(error.name === 'AbortError' || (error
				instanceof LockkeeperError && ['TIMEOUT', 'DEADLOCK',
				'TXABORTED', 'CANCELED'].includes(error.kind)), error);
		} finally {
			clearTimeout(timer);
		}
	}
	await Promise.all(Array.from({ length: 20 }, async () => {
		for (let i = 0; i < 30; i++)
			await one();
	}));
	assert(nAborted >= 200, `${nAborted} were aborted`);
	await becomesClean(lk);
	assert.deepEqual(await lk.autocommit().fetch(`SELECT 1 FROM pg_stat_activity
		WHERE state <> 'idle' AND pid <> pg_backend_pid()
		AND query LIKE '%pg_sleep%'`), []);
});
