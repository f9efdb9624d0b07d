/** A server that is none: it reads requests, and says what a test wants. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { Decoder } from '../lib/resp.js';

export const GREETING = '%1\r\n$8\r\ndatabase\r\n$4\r\nmain\r\n';

/** The reply to the request with this tag. */
export const reply = (tag, value) =>
	`>3\r\n+reply\r\n$${tag.length}\r\n${tag}\r\n${value}`;

/**
 * @param {(words: string[], socket: import('node:net').Socket) => void} answer
 *	is called with each request: its tag, or HELLO, and the other words
 */
export async function serve(answer) {
	const directory = mkdtempSync(join(tmpdir(), 'lkfake'));
	const path = join(directory, 's');
	const sockets = new Set();
	const server = createServer((socket) => {
		const decoder = new Decoder();
		sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => sockets.delete(socket));
		socket.on('data', (data) => decoder.feed(data, (words) => {
			const [first, ...rest] = words.map(String);
			answer([first.replace('@', ''), ...rest], socket);
		}));
	});
	server.listen(path);
	await once(server, 'listening');
	return {
		path,
		sockets,
		async close() {
			server.close();
			for (const socket of sockets)
				socket.destroy();
			await once(server, 'close');
			rmSync(directory, { recursive: true });
		},
	};
}
