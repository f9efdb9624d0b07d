// Lockkeeper with node-redis: npm install redis; node node-redis.mjs SOCKET
//
// A connection for each coroutine that may wait: replies come in the order of
// requests.  Two coroutines move money in opposite directions and may lock
// each other's rows; whoever is chosen to end the deadlock starts its
// transaction again.
import { createClient, ErrorReply } from 'redis';

async function connect() {
	const client = createClient({
		socket: { path: process.argv[2] },
		RESP: 3,				// rows are objects
		disableOfflineQueue: true,		// nothing is sent later
		maintNotifications: 'disabled',		// it breaks on our pushes
	});
	client.on('error', (error) => console.error(error.message));
	// What it says of itself whenever it connects, first or again.
	client.on('ready', () => client.sendCommand(['HELLO', '3',
		'NULL', '\\N', 'INT8', 'text'])
		.catch((error) => console.error(error.message)));
	return client.connect();
}

async function transfer(client, task, source, target, amount) {
	const move = 'UPDATE accounts SET balance = balance + $1 WHERE id = $2';
	const tx = `#${await client.sendCommand([task, 'BEGIN'])}`;
	const ask = (...words) => client.sendCommand([task, tx, ...words]);
	try {
		await ask('SQL', move, String(-amount), source);
		await ask('SQL', move, String(amount), target);
		await ask('COMMIT');
	} catch (error) {
		if (!(error instanceof ErrorReply))
			throw error;	// the connection is gone, and tx with it
		const [kind, sqlstate] = error.message.split(' ');
		await ask('ROLLBACK');
		if (kind !== 'DEADLOCK' && kind !== 'SERIALIZE')
			throw error;
		console.log(`${task} starts again: ${sqlstate}`);
		await transfer(client, task, source, target, amount);
	}
}

const clients = await Promise.all([connect(), connect()]);
await Promise.all([transfer(clients[0], '%one', '1', '2', 10),
	transfer(clients[1], '%two', '2', '1', 30)]);
const rows = await clients[0].sendCommand(['SQL', 'SELECT owner, balance, ' +
	'$1::text AS note FROM accounts WHERE id < $2 ORDER BY id', '\\N', '3']);
for (const row of rows)
	console.log({ ...row });
for (const client of clients)
	await client.close();
