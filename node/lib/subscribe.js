/** LISTEN and NOTIFY: SUBSCRIBE once for each channel that anybody hears. */
import { nothing, Request } from './words.js';

const MAX_WAITING = 10000;

/**
 * `for await (const { channel, payload, missed } of lk.subscribe('orders'))`.
 * Hears from the first turn of the loop or start() on, and ends with the loop or
 * with close().  missed: something was published that did not come, or may have
 * been; look for yourself what has changed.  Then the payload says why.
 */
export class Subscription {
	#hub;
	#started = null;
	#isClosed = false;
	#messages = [];
	#takers = [];

	constructor(hub, channels) {
		this.#hub = hub;
		this.channels = channels;
	}

	put(message) {
		const taker = this.#takers.shift();
		if (taker !== undefined) {
			taker({ value: message, done: false });
			return;
		}
		if (this.#messages.length >= MAX_WAITING) {
			this.#messages = [{ ...message, missed: true,
				payload: 'more was published than was taken' }];
			return;
		}
		this.#messages.push(message);
	}

	/** Resolves when everything that is published from now on will come. */
	async start() {
		this.#started ??= this.#hub.add(this);
		await this.#started;
		return this;
	}

	close() {
		this.#isClosed = true;
		this.#hub.remove(this);
		for (const taker of this.#takers.splice(0))
			taker({ value: undefined, done: true });
	}

	[Symbol.asyncIterator]() {
		return this;
	}

	async next() {
		if (!this.#isClosed)
			await this.start();
		if (this.#messages.length > 0)
			return { value: this.#messages.shift(), done: false };
		if (this.#isClosed)
			return { value: undefined, done: true };
		return new Promise((resolve) => {
			this.#takers.push(resolve);
		});
	}

	async return() {
		this.#messages = [];
		this.close();
		return { value: undefined, done: true };
	}
}

/** Of a client: who hears what. */
export class Hub {
	#core;
	#heard = new Map();	// by channel, the subscriptions

	constructor(core) {
		this.#core = core;
		core.pushes.on('push message', (channel, payload) =>
			this.#tell([channel], payload, false));
		core.pushes.on('push missed', ({ channels, text }) =>
			this.#tell([].concat(channels), text, true));
		core.upHooks.push(() => this.#again());
	}

	async add(subscription) {
		const { channels } = subscription;
		for (const channel of channels) {
			if (!this.#heard.has(channel))
				this.#heard.set(channel, new Set());
			this.#heard.get(channel).add(subscription);
		}
		try {
			// Also for those that others hear: theirs may not be confirmed.
			await this.#core.autocommit(new Request('SUBSCRIBE', channels,
				nothing));
			// An end that came before this has not ended it.
			this.#end(channels);
		} catch (error) {
			this.remove(subscription);
			throw error;
		}
	}

	remove(subscription) {
		this.#end(subscription.channels.filter((channel) =>
			this.#heard.get(channel)?.delete(subscription)));
	}

	/** Those of them that nobody hears any more. */
	#end(channels) {
		const gone = channels.filter((channel) =>
			!(this.#heard.get(channel)?.size > 0));
		for (const channel of gone)
			this.#heard.delete(channel);
		if (gone.length > 0)
			this.#core.connection.post('UNSUBSCRIBE', ...gone);
	}

	#tell(channels, payload, missed) {
		for (const channel of channels) {
			for (const subscription of this.#heard.get(channel) ?? [])
				subscription.put({ channel, payload, missed });
		}
	}

	/** The connection is another one. */
	#again() {
		const channels = [...this.#heard.keys()];
		if (channels.length === 0)
			return;
		this.#core.connection.post('SUBSCRIBE', ...channels);
		this.#tell(channels, 'the connection was lost meanwhile', true);
	}
}
