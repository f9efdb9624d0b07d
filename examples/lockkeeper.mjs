// Lockkeeper with its own client: npm install PATH/node; node lockkeeper.mjs
// SOCKET
//
// Two coroutines move money in opposite directions and may lock each other's
// rows; whoever is chosen to end the deadlock starts its transaction again.
import { connect } from 'lockkeeper';

const lk = await connect(process.argv[2]);

async function transfer(source, target, amount) {
	const move = 'UPDATE accounts SET balance = balance + $1 WHERE id = $2';
	try {
		await lk.transaction(async () => {
			await lk.execute(move, -amount, source);
			await lk.execute(move, amount, target);
		});
	} catch (error) {
		if (error.retry !== 'transaction')
			throw error;
		console.log(`${source} to ${target} starts again: ${
			error.sqlstate}`);
		await transfer(source, target, amount);
	}
}

await Promise.all([transfer(1, 2, 10), transfer(2, 1, 30)]);
for (const row of await lk.fetch('SELECT owner, balance, $1::text AS note ' +
	'FROM accounts WHERE id < $2 ORDER BY id', null, 3))
	console.log(row);
await lk.close();
