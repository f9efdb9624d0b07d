/**
 * What tests that need a daemon have: make check starts it, with a table r of
 * 100 rows, and says in the environment where it is.
 */
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connect } from 'lockkeeper';

export const PATH = process.env.LOCKKEEPER_SOCKET;

/** A test with a client, of which nothing is left in the daemon at its end. */
export function scenario(name, play, options = {}) {
	const skip = PATH === undefined
		&& 'there is no LOCKKEEPER_SOCKET: make check has one';
	test(name, { skip, timeout: 20000 }, async () => {
		const lk = await connect(PATH, options);
		try {
			await lk.execute('UPDATE r SET v = 0 WHERE v <> 0');
			await play(lk);
			await becomesClean(lk);
		} finally {
			await lk.close();
		}
	});
}

/** Have the daemon restarted, stopped or started, or a statement run by a
 * program that is none of its clients. */
export async function order(...words) {
	const socket = createConnection(process.env.LOCKKEEPER_ORDERS);
	socket.end(words.join(' '));
	let said = '';
	socket.on('data', (data) => {
		said += data;
	});
	await once(socket, 'close');
	if (said !== 'done')
		throw new Error(`order ${words.join(' ')}: ${said}`);
}

/** What is garbage goes. */
export function collectGarbage() {
	setFlagsFromString('--expose-gc');
	runInNewContext('gc')();
}

export async function eventually(probe, what, timeoutMs = 20000) {
	const end = Date.now() + timeoutMs;
	for (;;) {
		const answer = await probe();
		if (answer)
			return answer;
		if (Date.now() > end)
			throw new Error(`not in time: ${what}`);
		await sleep(5);
	}
}

/** Only who asks has a request, and nobody has a transaction. */
async function isClean(lk) {
	const [clients, txs, tasks, waits] = [await lk.call('SHOW', 'clients'),
		await lk.call('SHOW', 'transactions'), await lk.call('SHOW', 'tasks'),
		await lk.call('SHOW', 'waits')];
	return clients.reduce((n, { outstanding }) => n + outstanding, 0) <= 1
		&& txs.length === 0 && waits.length === 0 && lk.nPending === 0
		&& tasks.every(({ requests, transactions, awaits }) => requests <= 1
			&& transactions.length === 0 && awaits.length === 0);
}

export const becomesClean = (lk) =>
	eventually(() => isClean(lk), 'SHOW is clean');

export const isWaiting = (lk, wanted = true) => eventually(async () =>
	wanted === await lk.autocommit().fetchval(`SELECT EXISTS (
		SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock')`),
'somebody waits for a lock, or nobody does');
