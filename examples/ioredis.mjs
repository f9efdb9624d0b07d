// Lockkeeper with ioredis: npm install ioredis; node ioredis.mjs SOCKET
//
// One connection for any number of coroutines.  ioredis takes replies to come
// in the order of requests; with tags (@) they come when they are ready, and
// each says whose it is.  Two coroutines move money in opposite directions and
// may lock each other's rows; whoever is chosen to end the deadlock starts its
// transaction again.
import Redis from 'ioredis';

const redis = new Redis({
	path: process.argv[2],
	autoResendUnfulfilledCommands: false,	// nothing is sent twice
	maxRetriesPerRequest: 0,
});
// What it says of itself whenever it connects, first or again.
redis.on('connect', () => redis.call('HELLO', '2', 'NULL', '\\N')
	.catch((error) => console.error(error.message)));
redis.on('error', (error) => console.error(error.message));

const asked = new Map();	// by tag, the oldest first
let nAsked = 0;

function ask(...words) {
	const tag = String(++nAsked);
	return new Promise((resolve, reject) => {
		asked.set(tag, { resolve, reject });
		redis.call(`@${tag}`, ...words).then(
			([, whose, value]) => settle(whose, value),
			// The connection is gone, with as many requests as
			// are told so: the oldest.
			(error) => settle(asked.keys().next().value, error));
	});
}

function settle(tag, value) {
	const { resolve, reject } = asked.get(tag);
	asked.delete(tag);
	value instanceof Error ? reject(value) : resolve(value);
}

async function transfer(task, source, target, amount) {
	const move = 'UPDATE accounts SET balance = balance + $1 WHERE id = $2';
	const tx = `#${await ask(task, 'BEGIN')}`;
	try {
		await ask(task, tx, 'SQL', move, -amount, source);
		await ask(task, tx, 'SQL', move, amount, target);
		await ask(task, tx, 'COMMIT');
	} catch (error) {
		const [kind, sqlstate] = error.message.split(' ');
		await ask(task, tx, 'ROLLBACK');
		if (kind !== 'DEADLOCK' && kind !== 'SERIALIZE')
			throw error;
		console.log(`${task} starts again: ${sqlstate}`);
		await transfer(task, source, target, amount);
	}
}

await Promise.all([transfer('%one', 1, 2, 10), transfer('%two', 2, 1, 30)]);
// null would go as an empty string: it is what HELLO NULL says instead.
for (const row of await ask('SQL', 'SELECT owner, balance, $1::text AS note ' +
	'FROM accounts WHERE id < $2 ORDER BY id', '\\N', 3))
	console.log(row);	// RESP2: names and values in turn
await redis.quit();
