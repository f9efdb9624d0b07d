/**
 * One connection to the daemon, for all tasks of a program.
 *
 * Every request has a tag, and its reply settles the promise that waits for it.
 * What is asked for in one turn of the event loop leaves in one write.  When the
 * connection ends, requests get what is true of them as their reply, and it is
 * opened again; nothing is sent twice.
 */
import { createConnection } from 'node:net';
import { outside } from './context.js';
import { ClosedError, ConnlostError, LockkeeperError, OverloadError,
	ProtoError } from './errors.js';
import { bulk, bulks, Decoder, ErrorReply, Push, Reply } from './resp.js';

const FIRST_DELAY_MS = 20;
const MAX_DELAY_MS = 5000;

/** A request without a reply. */
class Pending {
	/** undefined: not yet. */
	reply = undefined;
	#resolve;

	constructor(tag, mayCommit) {
		this.tag = tag;
		this.mayCommit = mayCommit;
		this.promise = new Promise((resolve) => {
			this.#resolve = resolve;
		});
	}

	settle(reply) {
		this.reply = reply;
		this.#resolve(reply);
	}
}

export class Connection {
	#options;
	#socket = null;		// one that is there, or is being opened
	#decoder = new Decoder();
	#greet = null;		// who waits for the reply to HELLO
	#pending = new Map();
	#serial = 0;
	#nSent = 0;		// tags up to this one were handed to the socket
	#out = [];		// what was not
	#outLength = 0;
	#isFlushing = false;
	#isFull = false;	// the socket takes no more for now
	#waiting = new Set();	// for the connection: what wakes who does
	#waitingLength = 0;
	#isOpening = false;
	#retry = null;		// the timer until the next attempt
	#why = null;		// what kept the last one from being opened
	#isClosed = false;
	/** Grows when the connection ends: what was begun before is gone. */
	generation = 0;
	isUp = false;
	/** HELLO's reply. */
	greeting = null;

	/**
	 * @param {{ path: string, hello: string[], connectTimeout: number,
	 *	maxQueue: number, onPush: (kind: string, args: any[]) => void,
	 *	onUp: () => void }} options
	 */
	constructor(options) {
		this.#options = options;
	}

	/** That came on this connection so far. */
	get nBytes() {
		return this.#decoder.nBytes;
	}

	get nPending() {
		return this.#pending.size;
	}

	// -- opening and ending

	/** Throws what keeps it from being opened. */
	async open() {
		this.#isOpening = true;
		const { path, hello, connectTimeout, onUp } = this.#options;
		const greeted = new Promise((resolve, reject) => {
			this.#greet = { resolve, reject };
		});
		const socket = outside(() => this.#dial(path));
		socket.write(`*${hello.length}\r\n${bulks(hello)}`);
		const timer = setTimeout(() => socket.destroy(
			new Error(`no answer within ${connectTimeout} ms`)),
		connectTimeout);
		try {
			const reply = await greeted;
			if (reply instanceof ErrorReply)
				throw reply.exception();
			if (!(reply instanceof Map))
				throw new ProtoError('what came is no greeting');
			this.greeting = reply;
		} catch (error) {
			this.#drop();
			throw error instanceof LockkeeperError ? error
				: new ConnlostError(`no connection to ${path}: ${
					error.message}`, { cause: error });
		} finally {
			clearTimeout(timer);
			this.#greet = null;
			this.#isOpening = false;
		}
		this.isUp = true;
		onUp();
		for (const wake of this.#waiting)
			wake();
	}

	#dial(path) {
		const socket = createConnection({ path });
		this.#socket = socket;
		let error = null;
		const ifOurs = (call) => (...args) => {
			if (this.#socket === socket)
				call(...args);
		};
		socket.on('data', ifOurs((data) => this.#received(data)));
		socket.on('drain', ifOurs(() => {
			this.#isFull = false;
			this.#flush();
		}));
		socket.on('error', (what) => {
			error = what;
		});
		socket.on('close', ifOurs(() => this.#ended(error)));
		return socket;
	}

	#drop() {
		const socket = this.#socket;
		this.#socket = null;
		this.#decoder = new Decoder();
		socket?.destroy();
	}

	/** Once what was asked for has left. */
	close() {
		if (this.#isClosed)
			return;
		this.#isClosed = true;
		clearTimeout(this.#retry);
		this.#flush();
		const socket = this.#socket;
		this.#socket = null;
		// Who does not take what is left keeps nobody waiting.
		socket?.unref().destroySoon();
		this.#greet?.reject(new ClosedError('the client was closed'));
		this.#lose('the client was closed');
		for (const wake of this.#waiting)
			wake();
	}

	#reopen(delayMs = 0) {
		if (this.#isClosed || this.#socket !== null || this.#isOpening)
			return;
		this.#isOpening = true;
		this.#retry = outside(() => setTimeout(async () => {
			try {
				await this.open();
			} catch (error) {
				this.#why = error;
				this.#reopen(Math.min(MAX_DELAY_MS,
					Math.max(FIRST_DELAY_MS, 2 * delayMs)));
			}
		}, delayMs * (0.5 + Math.random() / 2)));
	}

	#ended(error) {
		const why = `the connection to ${this.#options.path} has ended`
			+ (error === null ? '' : `: ${error.message}`);
		if (this.#greet !== null) {
			this.#greet.reject(error ?? new Error('it has ended before '
				+ 'its greeting'));
			return;
		}
		this.#drop();
		this.#lose(why);
		this.#reopen();		// at once: there may be who only listens
	}

	/** Each request gets what is true of it. */
	#lose(why) {
		const pending = this.#pending;
		const nSent = this.#nSent;
		this.generation++;
		this.isUp = false;
		this.#isFull = false;
		this.#pending = new Map();
		this.#out = [];
		this.#outLength = 0;
		for (const [tag, each] of pending) {
			each.settle(new ErrorReply(each.mayCommit && tag <= nSent
				? `UNKNOWN 08007 ${why}; whether the request was carried `
					+ 'out is not known'
				: `CONNLOST 08006 ${why}; nothing of the request was `
					+ 'committed'));
		}
	}

	/**
	 * Resolves when it may be up, at once where it is; it is opened again when
	 * it has ended.
	 *
	 * @param {number} length of the request that waits for it
	 */
	whenUp(length) {
		this.#refuseMore(this.#waitingLength + length);
		this.#reopen();
		this.#waitingLength += length;
		return new Promise((resolve, reject) => {
			const { path, connectTimeout } = this.#options;
			const wake = () => {
				this.#waiting.delete(wake);
				this.#waitingLength -= length;
				clearTimeout(timer);
				resolve();
			};
			const timer = setTimeout(() => {
				reject(new ConnlostError(`no connection to ${path} within ${
					connectTimeout} ms: ${this.#why?.message
						?? 'no answer'}`, { cause: this.#why }));
				wake();
			}, connectTimeout);
			this.#waiting.add(wake);
		});
	}

	#refuseMore(length) {
		if (this.#isClosed)
			throw new ClosedError('the client was closed');
		if (length > this.#options.maxQueue)
			throw new OverloadError(`${length} bytes of requests would wait `
				+ `to be sent, and maxQueue is ${this.#options.maxQueue}; `
				+ 'nothing of this one was sent');
	}

	// -- sending

	/**
	 * All or none of these requests, of n encoded words each: what waits for
	 * their replies.
	 *
	 * @param {{ n: number, head: string, data: string | Buffer,
	 *	mayCommit: boolean }[]} requests
	 * @returns {Pending[]}
	 * @throws {OverloadError}
	 */
	submit(...requests) {
		this.#refuseMore(requests.reduce((length, { data }) =>
			length + data.length, this.#outLength));
		return requests.map(({ n, head, data, mayCommit }) =>
			this.#send(n, head, data, mayCommit));
	}

	/** A request whose reply does not matter to anybody; never refused. */
	post(...words) {
		if (this.isUp)
			this.#send(words.length, bulks(words), '', false);
	}

	#send(n, head, data, mayCommit) {
		const tag = ++this.#serial;
		const pending = new Pending(tag, mayCommit);
		this.#pending.set(tag, pending);
		const start = `*${n + 1}\r\n${bulk(`@${tag}`)}${head}`;
		if (typeof data === 'string')
			this.#out.push(start + data);
		else
			this.#out.push(start, data);
		this.#outLength += start.length + data.length;
		if (!this.#isFlushing && !this.#isFull) {
			this.#isFlushing = true;
			setImmediate(() => {
				this.#isFlushing = false;
				this.#flush();
			});
		}
		return pending;
	}

	/** Nobody waits for it any more. */
	cancel(pending) {
		if (this.#pending.get(pending.tag) === pending)
			this.post('CANCEL', String(pending.tag));
	}

	#flush() {
		if (this.#out.length === 0 || this.#isFull || this.#socket === null)
			return;
		const out = this.#out;
		this.#out = [];
		this.#outLength = 0;
		this.#nSent = this.#serial;
		this.#isFull = !this.#socket.write(
			out.every((piece) => typeof piece === 'string') ? out.join('')
				: Buffer.concat(out.map((piece) => Buffer.from(piece))));
	}

	// -- receiving

	#received(data) {
		const generation = this.generation;
		try {
			this.#decoder.feed(data, (item) => {
				if (generation === this.generation)
					this.#take(item);
			});
		} catch (error) {
			if (!(error instanceof LockkeeperError))
				throw error;
			this.#refuse(error);
		}
	}

	/** Bytes of which it is not known what they mean. */
	#refuse(error) {
		this.#socket?.destroy(error);
		this.#ended(error);
	}

	#take(item) {
		if (item instanceof Reply) {
			const tag = Number(item.tag);
			const pending = this.#pending.get(tag);
			if (pending === undefined)
				throw new ProtoError(`a reply to ${JSON.stringify(
					item.tag.slice(0, 64))}, which was not asked`);
			this.#pending.delete(tag);
			pending.settle(item.value);
		} else if (item instanceof Push) {
			this.#options.onPush(item.kind, item.args);
		} else if (this.#greet !== null) {
			this.#greet.resolve(item);
		} else if (item instanceof ErrorReply) {
			throw item.exception();
		} else {
			throw new ProtoError('a reply to nothing that was asked');
		}
	}
}
