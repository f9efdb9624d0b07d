/**
 * What can go wrong, one class for each kind of error reply, and called like
 * it: LOCKTIMEOUT is LocktimeoutError.  All derive from LockkeeperError and
 * have the fields that the daemon reports, see ERROR REPLIES in
 * lockkeeper-protocol(7).
 */

export class LockkeeperError extends Error {
	static kind = '';
	static sqlstate = '';
	/** What may be tried again: "no", "statement" or "transaction". */
	static retry = 'no';

	/**
	 * @param {string} message
	 * @param {{ cause?: unknown }} [options]
	 */
	constructor(message, options) {
		super(message, options);
		const { kind, sqlstate, retry } = new.target;
		Object.assign(this, { kind, sqlstate, retry });
	}

	get name() {
		return this.constructor.name;
	}
}

// ---- from the daemon: those of include/lockkeeper.h ----

function ofKind(kind, sqlstate, retry = 'no',
	name = `${kind[0]}${kind.slice(1).toLowerCase()}Error`) {
	const made = class extends LockkeeperError {
		static kind = kind;
		static sqlstate = sqlstate;
		static retry = retry;
	};
	Object.defineProperty(made, 'name', { value: name });
	return made;
}

/** PostgreSQL's, and none of the kinds below. */
export const PgError = ofKind('PG', 'XX000');
/** Chosen to end a deadlock; the message names the cycle. */
export const DeadlockError = ofKind('DEADLOCK', '40P01', 'transaction');
export const SerializeError = ofKind('SERIALIZE', '40001', 'transaction');
/** The lock was not to be had in time; the message names the holder. */
export const LocktimeoutError = ofKind('LOCKTIMEOUT', '55P03', 'statement');
/** The deadline passed; the message says in which phase. */
export const TimeoutError = ofKind('TIMEOUT', '57014', 'statement');
export const CanceledError = ofKind('CANCELED', '57014', 'statement');
/** No slot became free in time; the message names who holds them. */
export const PooltimeoutError = ofKind('POOLTIMEOUT', 'LK001', 'statement');
export const TxabortedError = ofKind('TXABORTED', '25P02', 'transaction');
export const TxexpiredError = ofKind('TXEXPIRED', '25P03', 'transaction');
export const NotxError = ofKind('NOTX', '25P01');
/** It may have been committed.  Look before it is done again. */
export const UnknownError = ofKind('UNKNOWN', '08007');
/** Nothing of the request was committed. */
export const ConnlostError = ofKind('CONNLOST', '08006', 'transaction');
/** Not the rows that were asked for. */
export const UnmetError = ofKind('UNMET', 'LK002');
export const ExecabortError = ofKind('EXECABORT', '25P02');
/** The daemon is shutting down; nothing of the request was done. */
export const ClosingError = ofKind('CLOSING', '57P03', 'statement');
export const NoprotoError = ofKind('NOPROTO', '0A000');
export const NomodelError = ofKind('NOMODEL', '42P01');
export const NocolumnError = ofKind('NOCOLUMN', '42703');
export const DeniedError = ofKind('DENIED', '42501');
/** The request is not one that the daemon knows.  JavaScript has a SyntaxError
 * of its own. */
export const RequestSyntaxError = ofKind('SYNTAX', '42601', 'no',
	'RequestSyntaxError');
/** A limit was reached; the message names it. */
export const OverloadError = ofKind('OVERLOAD', '53400', 'statement');
export const ProtoError = ofKind('PROTO', '08P01');

// ---- PostgreSQL's, by SQLSTATE ----

/** A constraint was violated: class 23. */
export class IntegrityError extends PgError {
	static sqlstate = '23000';
}

export class RestrictViolationError extends IntegrityError {
	static sqlstate = '23001';
}

export class NotNullViolationError extends IntegrityError {
	static sqlstate = '23502';
}

export class ForeignKeyViolationError extends IntegrityError {
	static sqlstate = '23503';
}

export class UniqueViolationError extends IntegrityError {
	static sqlstate = '23505';
}

export class CheckViolationError extends IntegrityError {
	static sqlstate = '23514';
}

export class ExclusionViolationError extends IntegrityError {
	static sqlstate = '23P01';
}

// ---- this side's own ----

/** The program asked for what cannot be; nothing was sent. */
export class UsageError extends LockkeeperError {}

/** A value has no form on the other side. */
export class DataError extends LockkeeperError {}

/** The client was closed. */
export class ClosedError extends UsageError {}

/** The transaction that the call would be part of has ended. */
export class TransactionEnded extends UsageError {}

/** The task was begun inside a transaction that is another task's.  Say which
 * is meant: the transaction's own methods, or lk.autocommit(). */
export class TransactionNotInherited extends UsageError {}
