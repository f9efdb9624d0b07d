/** The connection: that it is lost, is opened again, and cannot be trusted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, ClosingError, connect, ConnlostError, OverloadError,
	ProtoError, UnknownError } from 'lockkeeper';
import { GREETING, reply, serve } from '../testing/server.js';
import { eventually, order, scenario } from '../testing/stage.js';

/** A test with a server that is none, and a client of it.  answer() is not
 * asked about HELLO. */
function withServer(name, answer, play, options = {}) {
	test(name, async () => {
		const server = await serve((words, socket) => {
			if (words[0] === 'HELLO')
				socket.write(GREETING);
			else
				answer(words, socket);
		});
		const lk = await connect(server.path, options);
		try {
			await play(lk, server);
		} finally {
			await lk.close();
			await server.close();
		}
	});
}

for (const garbage of ['HTTP/1.1 400 Bad Request\r\n', '*1\r\n'.repeat(99),
	'$99999999999999\r\n', ':1\r\n', reply('17', ':1\r\n'), '>1\r\n$1\r\nx\r\n',
	'>2\r\n$8\r\nlockwait\r\n:1\r\n', '-PROTO 08P01 no request\r\n',
	`+${'x'.repeat(100000)}`, '\0\0\0\r\n']) {
	let isBad = true;
	withServer(`after ${JSON.stringify(garbage.slice(0, 12))} it connects anew`,
		([tag, verb], socket) => {
			if (verb === 'PING')
				socket.write(reply(tag, '+PONG\r\n'));
			else if (isBad && verb === 'SQL')
				socket.write(garbage);
		}, async (lk, { sockets }) => {
			const [first] = sockets;
			const reading = lk.get('r', 1);
			const [one, two] = await Promise.allSettled(
				[reading, lk.execute('UPDATE')]);
			assert(one.reason instanceof ConnlostError, one.reason);
			assert(two.reason instanceof UnknownError, two.reason);
			isBad = false;
			assert.equal(await lk.call('PING'), 'PONG');
			await eventually(() => !sockets.has(first), 'it has ended');
		});
}

for (const [greeting, made] of [['+OK\r\n', ProtoError], ['?\r\n', ProtoError],
	['-CLOSING 57P03 the daemon is shutting down\r\n', ClosingError],
	['', ConnlostError]]) {
	test(`the greeting ${JSON.stringify(greeting)} is an error`, async () => {
		const server = await serve((words, socket) => socket.write(greeting));
		await assert.rejects(connect(server.path, { connectTimeout: 100 }),
			made);
		await server.close();
	});
}

const sent = [];
withServer('what has no reply is not sent again', ([tag, ...words], socket) => {
	sent.push(words.join(' '));
	if (words[0] === 'PING')
		socket.write(reply(tag, '+PONG\r\n'));
	else if (sent.length === 3)
		socket.destroy();
}, async (lk) => {
	const outcomes = await Promise.allSettled([
		lk.execute('one'), lk.create('r', { v: 1 }), lk.count('r')]);
	assert.deepEqual(outcomes.map(({ reason }) => reason.constructor),
		[UnknownError, UnknownError, ConnlostError]);
	assert.match(outcomes[0].reason.message, /is not known/);
	assert.equal(await lk.call('PING'), 'PONG');
	assert.deepEqual(sent, ['SQL one', 'CREATE r v = 1', 'COUNT r', 'PING']);
});

let handle = 70;
withServer('a transaction ends with its connection', ([tag, , verb], socket) => {
	if (verb === 'BEGIN')
		socket.write(reply(tag, `:${++handle}\r\n`));
	else if (verb === 'GET')
		socket.destroy();
	else
		socket.write(reply(tag, '+unexpected\r\n'));
}, async (lk) => {
	await assert.rejects(lk.transaction(async () => {
		await assert.rejects(lk.get('r', 1), ConnlostError);
		assert.equal(await lk.call('PING', 'x'), 'unexpected');
		await assert.rejects(lk.execute('UPDATE'), ConnlostError);
	}), ConnlostError);
	assert.equal(handle, 71);
});

const told = [];
withServer('a subscription may end before it is confirmed',
	([tag, verb], socket) => {
		told.push([tag, verb]);
		if (told.length === 2)
			socket.write(reply(told[0][0], ':1\r\n'));
	}, async (lk) => {
		const subscription = lk.subscribe('a');
		const next = subscription.next();
		await eventually(() => told.length > 0, 'it is asked for');
		subscription.close();
		assert.deepEqual(await next, { value: undefined, done: true });
		await eventually(() => told.length === 3, 'it is ended');
		assert.deepEqual(told.map(([, verb]) => verb), ['SUBSCRIBE',
			'UNSUBSCRIBE', 'UNSUBSCRIBE']);
	});

withServer('what the socket does not take is bounded, and was not sent',
	(words, socket) => socket.pause(), async (lk, { sockets }) => {
		const text = 'x'.repeat(50000);
		const outcomes = [];
		let n = 0;
		while (!outcomes.some(({ error }) => error instanceof OverloadError)) {
			const i = n++;
			lk.execute(text).catch((error) => outcomes.push({ i, error }));
			await sleep(0);
			assert(n < 1000);
		}
		assert.match(outcomes[0].error.message, /maxQueue is 200000/);
		assert.equal(outcomes[0].error.retry, 'statement');
		for (const socket of sockets)
			socket.destroy();
		await eventually(() => outcomes.length === n, 'all have an outcome');
		const kinds = outcomes.sort((a, b) => a.i - b.i).map(
			({ error }) => error.kind[0]).join('');
		// Sent, or in part; then what waited; then what was refused.
		assert.match(kinds, /^U{2,}C{3}O$/);
	}, { maxQueue: 200000 });

test('a daemon that is away is looked for less and less', async () => {
	let nHellos = 0;
	const server = await serve((words, socket) => {
		nHellos++;
		if (nHellos === 1)
			socket.write(GREETING);
		else
			socket.destroy();
	});
	const lk = await connect(server.path, { connectTimeout: 400 });
	for (const socket of server.sockets)
		socket.destroy();
	await sleep(20);
	await assert.rejects(lk.call('PING'), /no connection to .* within 400 ms/);
	assert(nHellos > 3 && nHellos < 12, `${nHellos} attempts`);
	const waiting = lk.call('PING');
	await lk.close();
	await assert.rejects(waiting, ClosedError);
	await assert.rejects(lk.get('r', 1), ClosedError);
	const before = nHellos;
	await sleep(200);
	assert.equal(nHellos, before);
	await server.close();
});

scenario('a daemon that starts again is found again', async (lk) => {
	await order('restart');
	assert.equal(await lk.fetchval('SELECT 2'), 2);
	await assert.rejects(lk.transaction(async () => {
		await lk.execute('UPDATE r SET v = 1 WHERE id = 1');
		await order('restart');
		await lk.execute('UPDATE r SET v = 2 WHERE id = 1');
	}), ConnlostError);
	assert.deepEqual(await lk.get('r', 1), { id: 1, v: 0 });
});

scenario('nothing is done twice when the daemon starts again', async (lk) => {
	const told = { done: 0, unknown: 0, lost: 0 };
	let isOver = false;
	const add = async () => {
		while (!isOver) {
			try {
				await lk.execute('UPDATE r SET v = v + 1 WHERE id = 1');
				told.done++;
			} catch (error) {
				assert(['UNKNOWN', 'CONNLOST', 'CLOSING'].includes(error.kind),
					error);
				told[error.kind === 'UNKNOWN' ? 'unknown' : 'lost']++;
			}
		}
	};
	const adding = Array.from({ length: 20 }, add);
	for (let i = 0; i < 3; i++) {
		await sleep(50);
		await order('restart');
	}
	isOver = true;
	await Promise.all(adding);
	const v = await lk.fetchval('SELECT v FROM r WHERE id = 1');
	assert(told.done > 0 && v >= told.done && v <= told.done + told.unknown,
		`${v} of ${JSON.stringify(told)}`);
});

scenario('what is in flight when it is closed gets the truth', async (lk) => {
	await lk.call('PING');
	const { connect: again } = await import('lockkeeper');
	const other = await again();
	const outcome = Promise.allSettled([other.fetch('SELECT pg_sleep(60)'),
		other.transaction(() => other.fetch('SELECT pg_sleep(60)'))]);
	await eventually(async () => (await lk.call('SHOW', 'transactions'))
		.some(({ state }) => state === 'running'), 'both run');
	await other.close();
	const [one, two] = await outcome;
	assert(one.reason instanceof UnknownError);
	assert(two.reason instanceof ConnlostError);
	await assert.rejects(other.get('r', 1), ClosedError);
});
