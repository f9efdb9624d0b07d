/**
 * Rows some at a time: OPEN, FETCH and CLOSE.
 *
 * How many a FETCH asks for follows from how large the last ones were, so that
 * a reply stays under a size behind which others' replies do not wait.
 */
import { LockkeeperError } from './errors.js';
import { Transaction } from './transaction.js';
import { asItIs, nothing, Request, rows as rowsOf } from './words.js';

const REPLY_BYTES = 256 * 1024;
const FIRST_ROWS = 32;
const MAX_ROWS = 10000;

/** Inside tx; or, where that is null, in a transaction of its own, on the
 * connection for large replies. */
export async function* rows(core, request, tx, envelope) {
	const own = tx === null ? new Transaction(core, null, { readOnly: true,
		database: envelope.database }) : null;
	if (own !== null)
		await own.start(core.bulk());
	let number = null;
	try {
		number = await (own ?? tx).ask(new Request('OPEN', request.words,
			asItIs), envelope);
		yield* batches(own ?? tx, number, request.model, envelope);
	} finally {
		await end(own, tx, number);
	}
}

async function* batches(tx, number, model, envelope) {
	let n = FIRST_ROWS;
	for (;;) {
		const before = tx.connection.nBytes;
		const got = await tx.ask(new Request('FETCH',
			[String(number), String(n)], rowsOf, { model }), envelope);
		// Others' replies count, too: then it is fewer rows than could be.
		const nBytes = Math.max(1, tx.connection.nBytes - before);
		for (const row of got)
			yield row;
		if (got.length < n)
			return;
		const fitting = Math.floor(got.length * REPLY_BYTES * 3
			/ (4 * nBytes));
		n = Math.max(1, Math.min(4 * n, fitting, MAX_ROWS));
	}
}

/** What has failed has ended its cursor already. */
async function end(own, tx, number) {
	try {
		if (own !== null)
			await own.rollback();	// it has changed nothing
		else if (number !== null && tx.isOpen)
			await tx.ask(new Request('CLOSE', [String(number)], nothing));
	} catch (error) {
		if (!(error instanceof LockkeeperError))
			throw error;
	}
}
