// See driver.mjs.
import { createClient, ErrorReply, RESP_TYPES } from 'redis';
import { drive } from './driver.mjs';

const RESP = Number(process.argv[3]);

// Nothing is sent later, before HELLO can be said.  With RESP 3 it looks for
// notifications of Redis Cloud in every push by String() of its elements, which
// throws for the map in ours, and what came with the push is never read.
const ours = {
	disableOfflineQueue: true,
	maintNotifications: 'disabled',
};

drive({
	settings: { open: ours, defaults: {}, auth: { ...ours,
		username: 'u', password: 'p', name: 'me' } },
	async open(path, hello, settings) {
		const client = createClient({ socket: { path }, RESP,
			...settings });
		// Before anything else is sent: nothing is queued.
		client.on('ready', () => client.sendCommand(['HELLO', ...hello])
			.catch((error) => client.emit('error', error)));
		client.on('error', (error) => console.error(error.message));
		return client.connect();
	},
	call: (client, words) => client.sendCommand(words),
	bytes: (client, words) => client.sendCommand(words,
		{ typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }),
	multi(client, requests) {
		const transaction = client.multi();
		for (const words of requests)
			transaction.addCommand(words);
		return transaction.exec();
	},
	isErrorReply: (error) => error instanceof ErrorReply,
});
