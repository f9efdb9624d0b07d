// A client library at the tests' orders.
//
// Reads orders from standard input, a line each, and prints answers, a line of
// JSON each, as tests/clients/hiredis_client.c does:
//
//	NUMBER CONNECTION open WORD...		connect, say HELLO WORD...
//	NUMBER CONNECTION defaults WORD...	the same, with no settings of ours
//	NUMBER CONNECTION auth WORD...		the same, with name and password
//	NUMBER CONNECTION call WORD...		send a request
//	NUMBER CONNECTION bytes WORD...		the same, bulk strings as Buffers
//	NUMBER CONNECTION multi WORD...		requests, each ended by a null, as the
//						library's transaction
//
// A word is x and its bytes in hex; n is null, i42 the number 42, t true.  The
// answer has the order's number and "value", or "error" for an error reply, or
// "lost" for anything else that the library throws.
import { createInterface } from 'node:readline';

function parseWord(word) {
	switch (word[0]) {
	case 'n': return null;
	case 'i': return Number(word.slice(1));
	case 't': return true;
	}
	const bytes = Buffer.from(word.slice(1), 'hex');
	const text = bytes.toString();
	return Buffer.from(text).equals(bytes) ? text : bytes;
}

function toJson(value) {
	if (Buffer.isBuffer(value))
		return { hex: value.toString('hex') };
	if (value instanceof Error)
		return { error: value.message };
	if (Array.isArray(value))
		return value.map(toJson);
	if (value !== null && typeof value === 'object')
		return Object.fromEntries(Object.entries(value).map(
			([key, inner]) => [key, toJson(inner)]));
	return value;
}

function requestsOf(words) {
	const requests = [[]];
	for (const word of words) {
		if (word === null)
			requests.push([]);
		else
			requests.at(-1).push(word);
	}
	return requests.slice(0, -1);
}

// settings has an object for each way to open; open(path, hello, settings),
// call(connection, words), bytes(connection, words) and multi(connection,
// requests) return promises.
export function drive({ settings, open, call, bytes, multi, isErrorReply }) {
	const path = process.argv[2];
	const connections = new Map();

	async function obey(connection, verb, words) {
		if (verb === 'call')
			return call(connections.get(connection), words);
		if (verb === 'bytes')
			return bytes(connections.get(connection), words);
		if (verb === 'multi')
			return multi(connections.get(connection),
				requestsOf(words));
		connections.set(connection,
			await open(path, words, settings[verb]));
		return null;
	}

	createInterface({ input: process.stdin }).on('line', async (line) => {
		const [number, connection, verb, ...words] = line.split(' ');
		const answer = { number: Number(number) };
		try {
			answer.value = toJson(await obey(connection, verb,
				words.map(parseWord)));
		} catch (error) {
			answer[isErrorReply(error) ? 'error' : 'lost'] =
				error.message;
		}
		console.log(JSON.stringify(answer));
	}).on('close', () => process.exit(0));
}
