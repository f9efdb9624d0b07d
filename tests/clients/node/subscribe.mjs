// A subscriber: node subscribe.mjs ioredis|redis SOCKET PROTO CHANNEL
//
// Prints what it hears, a line of JSON each: ["subscribed"], ["message",
// CHANNEL, TEXT], ["pmessage", PATTERN, CHANNEL, TEXT], ["error", TEXT].  Ends
// with its standard input, unsubscribed: ["unsubscribed"].
import { once } from 'node:events';

const [library, path, proto, channel] = process.argv.slice(2);

const say = (...words) => console.log(JSON.stringify(words));

async function openIoredis() {
	const { default: Redis } = await import('ioredis');
	const redis = new Redis({ path, lazyConnect: true });
	redis.on('error', (error) => say('error', error.message));
	redis.on('message', (...words) => say('message', ...words));
	redis.on('pmessage', (...words) => say('pmessage', ...words));
	await redis.connect();
	await redis.subscribe(channel);
	return {
		end: async () => {
			await redis.unsubscribe(channel);
			await redis.ping();
			redis.disconnect();
		},
	};
}

async function openNodeRedis() {
	const { createClient } = await import('redis');
	const client = createClient({ socket: { path }, RESP: Number(proto),
		maintNotifications: 'disabled' });
	client.on('error', (error) => say('error', error.message));
	await client.connect();
	await client.subscribe(channel, (text, from) =>
		say('message', from, text));
	return {
		end: async () => {
			await client.unsubscribe(channel);
			await client.ping();
			client.destroy();
		},
	};
}

const subscriber = await (library === 'ioredis' ? openIoredis() :
	openNodeRedis());
say('subscribed');
process.stdin.resume();
await once(process.stdin, 'end');
await subscriber.end();
say('unsubscribed');
