/**
 * What a client's executors share: its connections, and what it knows of its
 * databases' types and models.
 */
import { EventEmitter } from 'node:events';
import { Connection } from './connection.js';
import { asker, group } from './context.js';
import { ASK, builtin, Changed, Codecs, Undescribed, Unknown } from './decode.js';
import { ProtoError } from './errors.js';
import { bulk, ErrorReply } from './resp.js';
import { asItIs, Request, rows, sql } from './words.js';

/** Words before the verb, encoded, and what else is to be known of a request. */
export const PLAIN = Object.freeze({ n: 0, text: '', database: null,
	isBulk: false, signal: null });

// Those of Redis, which have words where the others have a map.
const REDIS_PUSHES = ['message', 'subscribe', 'unsubscribe'];

export class Core {
	#options;
	#bulk = null;
	#codecs = new Map();		// by database; null: the connection's
	#descriptions = new Map();
	/** What the daemon says unasked, by its kind: the arguments. */
	pushes = new EventEmitter().setMaxListeners(0);
	/** Called when there is another connection. */
	upHooks = [];

	constructor(options) {
		this.#options = options;
		this.connection = this.#newConnection();
	}

	#newConnection() {
		const { path, name, database, connectTimeout, maxQueue } =
			this.#options;
		return new Connection({ path, connectTimeout, maxQueue,
			hello: ['HELLO', '3', 'NAME', name, 'MODE', 'async',
				'GROUP', group, 'ROWS', 'table', 'TAGS', 'push',
				'ERRORS', 'blob',
				...database === undefined ? [] : ['DATABASE', database]],
			onPush: (kind, args) => this.#onPush(kind, args),
			onUp: () => this.#onUp() });
	}

	/** Another daemon, perhaps, and another schema. */
	#onUp() {
		this.#codecs.clear();
		this.#descriptions.clear();
		for (const hook of this.upHooks)
			hook();
	}

	/** Behind the reading of what came: what a listener throws is its own. */
	#onPush(kind, args) {
		if (!REDIS_PUSHES.includes(kind) && !(args[0] instanceof Map))
			throw new ProtoError(`what came is no push: ${kind}`);
		const told = args.map((arg) => builtin.value(arg));
		process.nextTick(() => this.pushes.emit(`push ${kind}`, ...told));
	}

	/** Where requests go that name none. */
	get database() {
		return String(this.connection.greeting.get('database'));
	}

	/** For large replies, behind which nobody else's wait. */
	bulk() {
		this.#bulk ??= this.#newConnection();
		return this.#bulk;
	}

	close() {
		this.connection.close();
		this.#bulk?.close();
	}

	/** Requests without a reply, on all connections. */
	get nPending() {
		return this.connection.nPending + (this.#bulk?.nPending ?? 0);
	}

	// -- requests

	/**
	 * The reply as it comes.
	 *
	 * @param {Connection} connection
	 * @param {{ n: number, text: string, signal: AbortSignal | null }} head
	 * @param {Request} request
	 * @param {{ mayCommit?: boolean, running?: Set<any> }} [how] running holds
	 *	what has no reply yet
	 */
	async exchange(connection, { n, text, signal }, request,
		{ mayCommit = false, running = null } = {}) {
		const encoded = request.encoded();
		signal?.throwIfAborted();
		while (!connection.isUp)
			await unlessAborted(signal, connection.whenUp(
				encoded.data.length));
		const [pending] = connection.submit({ n: n + encoded.n, head: text,
			data: encoded.data, mayCommit });
		running?.add(pending);
		try {
			return await unlessAborted(signal, pending.promise,
				() => connection.cancel(pending));
		} finally {
			running?.delete(pending);
		}
	}

	/** Outside transactions, as the task that runs, or as nobody. */
	async autocommit(request, envelope = PLAIN) {
		const connection = envelope.isBulk ? this.bulk() : this.connection;
		const task = asker();
		const word = task?.word ?? '';
		const ask = (of, { n, text, signal }, mayCommit) => this.exchange(
			connection, { n: task === null ? n : n + 1, text: text + word,
				signal }, of, { mayCommit });
		if (task !== null)
			task.nBusy++;
		try {
			const reply = await ask(request, envelope, request.mayCommit);
			if (reply instanceof ErrorReply)
				throw reply.exception();
			return await this.take(reply, request, envelope.database,
				(other) => ask(other, inDatabase(envelope.database), false));
		} finally {
			if (task !== null)
				task.nBusy--;
		}
	}

	// -- replies

	#codecsOf(database) {
		let codecs = this.#codecs.get(database);
		if (codecs === undefined) {
			codecs = new Codecs(this.#options);
			this.#codecs.set(database, codecs);
		}
		return codecs;
	}

	/** What the caller gets for a reply.  ask asks what has to be known for that
	 * where the request was carried out. */
	async take(reply, request, database, ask) {
		for (;;) {
			const codecs = this.#codecsOf(database);
			try {
				const { model, relation, take } = request;
				return take(model === null ? codecs.value(reply)
					: codecs.nested(reply, model, relation), reply);
			} catch (error) {
				await this.#find(error, codecs, database, ask);
			}
		}
	}

	async #find(error, codecs, database, ask) {
		if (error instanceof Unknown)
			await this.#learn(codecs, error.typeName, ask);
		else if (error instanceof Undescribed)
			codecs.describe(await this.#describe(error.model, database));
		else if (error instanceof Changed)
			this.#forget(database);
		else
			throw error;
	}

	async #learn(codecs, typeName, ask) {
		const reply = await ask(sql(ASK, [typeName], rows));
		if (reply instanceof ErrorReply)
			throw reply.exception();
		for (;;) {
			try {
				codecs.learn(typeName, codecs.rows(reply));
				return;
			} catch (error) {
				if (!(error instanceof Unknown))
					throw error;
				await this.#learn(codecs, error.typeName, ask);
			}
		}
	}

	// -- models

	#forget(database) {
		this.#codecs.delete(database);
		this.#descriptions.clear();
	}

	/** DESCRIBE's reply, asked once for each connection. */
	#describe(model, database) {
		const key = JSON.stringify([database, model]);
		let described = this.#descriptions.get(key);
		if (described === undefined) {
			described = this.autocommit(new Request('DESCRIBE', [model],
				asItIs), inDatabase(database));
			this.#descriptions.set(key, described);
			described.catch(() => this.#descriptions.delete(key));
		}
		return described;
	}
}

export const inDatabase = (database) => database === null ? PLAIN
	: { ...PLAIN, n: 1, text: bulk(`/${database}`), database };

/** The promise; or, when the signal comes before, its reason. */
export function unlessAborted(signal, promise, onAbort = () => {}) {
	if (signal === null)
		return promise;
	return new Promise((resolve, reject) => {
		const abort = () => {
			onAbort();
			reject(signal.reason);
		};
		signal.addEventListener('abort', abort, { once: true });
		promise.finally(() => signal.removeEventListener('abort', abort))
			.then(resolve, reject);
	});
}
