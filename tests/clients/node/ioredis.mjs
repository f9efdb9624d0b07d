// See driver.mjs.
import Redis from 'ioredis';
import { drive } from './driver.mjs';

// Nothing is sent twice.
const ours = {
	autoResendUnfulfilledCommands: false,
	maxRetriesPerRequest: 0,
};

drive({
	settings: { open: ours, defaults: {}, auth: { ...ours,
		username: 'u', password: 'p', connectionName: 'me' } },
	async open(path, hello, settings) {
		const redis = new Redis({ path, lazyConnect: true, ...settings });
		// Before anything that waits for the connection.
		redis.on('connect', () => redis.call('HELLO', ...hello)
			.catch((error) => redis.emit('error', error)));
		redis.on('error', (error) => console.error(error.message));
		await redis.connect();
		return redis;
	},
	call: (redis, words) => redis.call(...words),
	bytes: (redis, words) => redis.callBuffer(...words),
	async multi(redis, requests) {
		const transaction = redis.multi();
		for (const words of requests)
			transaction.call(...words);
		// Of each an error, which is null, and its reply.
		return (await transaction.exec()).map(([, reply]) => reply);
	},
	isErrorReply: (error) => error.name === 'ReplyError',
});
