/** Channels. */
import assert from 'node:assert/strict';
import { UsageError } from 'lockkeeper';
import { eventually, order, scenario } from '../testing/stage.js';

const message = (channel, payload) => ({ channel, payload, missed: false });

const next = async (subscription) => (await subscription.next()).value;

scenario('messages come to all who hear their channel', async (lk) => {
	const one = await lk.subscribe('a', 'B').start();
	const two = await lk.subscribe('a').start();
	await lk.publish('a', '1');
	await lk.execute("SELECT pg_notify('B', '2')");
	await lk.transaction(() => lk.publish('a', '3'));
	assert.deepEqual([await next(one), await next(one), await next(one)],
		[message('a', '1'), message('B', '2'), message('a', '3')]);
	assert.deepEqual([await next(two), await next(two)],
		[message('a', '1'), message('a', '3')]);
	two.close();
	await lk.publish('a', '4');
	assert.deepEqual(await next(one), message('a', '4'));
	assert.equal(await next(two), undefined);
	one.close();
	await eventually(async () => (await lk.call('SHOW', 'clients')).every(
		({ subscriptions }) => subscriptions === 0), 'nothing is heard');
	assert.throws(() => lk.subscribe(), UsageError);
});

scenario('a loop ends its subscription, and close() the loop', async (lk) => {
	const heard = [];
	const subscription = lk.subscribe('a');
	const loop = (async () => {
		for await (const { payload } of subscription) {
			heard.push(payload);
			if (payload === 'last')
				break;
		}
	})();
	await eventually(async () => {
		await lk.publish('a', 'x');
		return heard.length > 0;
	}, 'it hears');
	await lk.publish('a', 'last');
	await loop;
	const other = lk.subscribe('a');
	setTimeout(() => other.close(), 20);
	for await (const each of other)
		assert.fail(each);
	await eventually(async () => (await lk.call('SHOW', 'clients')).every(
		({ subscriptions }) => subscriptions === 0), 'nothing is heard');
});

scenario('what a lost session may have missed is told', async (lk) => {
	const subscription = await lk.subscribe('a').start();
	const [{ listener_pid: pid }] = await lk.call('SHOW', 'databases');
	await order(`sql SELECT pg_terminate_backend(${pid})`);
	const told = await next(subscription);
	assert.equal(told.missed, true);
	assert.equal(told.channel, 'a');
	await lk.publish('a', 'x');
	assert.deepEqual(await next(subscription), message('a', 'x'));
	subscription.close();
});

scenario('a subscription outlives the connection, and says so', async (lk) => {
	const subscription = await lk.subscribe('a').start();
	await order('restart');
	const told = await next(subscription);
	assert.deepEqual(told, { channel: 'a', missed: true,
		payload: 'the connection was lost meanwhile' });
	let isHeard = false;
	const heard = next(subscription).then((each) => {
		isHeard = true;
		return each;
	});
	await eventually(async () => {
		await lk.publish('a', 'x');
		return isHeard;
	}, 'it hears again');
	assert.deepEqual(await heard, message('a', 'x'));
	subscription.close();
});

scenario('who takes nothing is told what it missed', async (lk) => {
	const subscription = await lk.subscribe('a').start();
	await lk.execute(`SELECT pg_notify('a', g::text)
		FROM generate_series(1, 10050) g`);
	await lk.publish('a', 'last');
	await eventually(async () =>
		(await lk.call('SHOW', 'stats')).messages >= 10051, 'all were sent');
	await lk.call('PING');
	const first = await next(subscription);
	assert.equal(first.missed, true);
	assert.match(first.payload, /more was published/);
	for (;;) {
		const { payload } = await next(subscription);
		if (payload === 'last')
			break;
	}
	subscription.close();
});
