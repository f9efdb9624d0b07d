// Types of the package lockkeeper.  README says what it is about.

/** What a parameter may be: null is NULL, an array an array of PostgreSQL's, a
 * plain object JSON.  See json(). */
export type Value = string | number | bigint | boolean | null | Date | Uint8Array
	| Json | Reference | readonly Value[] | { readonly [key: string]: unknown };

/** By column name. */
export type Row = Record<string, any>;

/** Of one column, or of several. */
export type Key = Value;

/** Columns and what they are equal to, or what col() makes. */
export type Where = Condition | typeof everything | null | { [column: string]: Value };

// ---- the client ----

export interface ConnectOptions {
	/** As the daemon's configuration calls it; the first one. */
	database?: string;
	/** What the client is called in messages and SHOW; the program's. */
	name?: string;
	/** Milliseconds that a call waits for the connection; 10000. */
	connectTimeout?: number;
	/** Of requests that the socket has not taken, about in bytes; 64 MiB. */
	maxQueue?: number;
	/** What int8 is; a number that is not safe is a DataError. */
	int8?: "bigint" | "number";
	/** What timestamptz is. */
	timestamptz?: "string" | "date";
}

/** path: else the environment's LOCKKEEPER_SOCKET, else where packages have it. */
export function connect(path?: string, options?: ConnectOptions): Promise<Lockkeeper>;

export interface RequestOptions {
	/** Milliseconds for all of a request. */
	timeout?: number;
	/** Milliseconds that it may wait for locks. */
	lockTimeout?: number;
	database?: string;
	/** It may be run again from its start. */
	replay?: boolean;
	/** By a connection for large replies. */
	bulk?: boolean;
	signal?: AbortSignal | null;
}

export interface TransactionOptions {
	isolation?: "read committed" | "repeatable read" | "serializable";
	readOnly?: boolean;
	deferrable?: boolean;
	database?: string | null;
	signal?: AbortSignal | null;
}

export interface UnitOptions {
	/** How often it is begun again; 3. */
	retry?: number;
	isolation?: "read committed" | "repeatable read" | "serializable";
	database?: string | null;
	signal?: AbortSignal | null;
}

export interface GetOptions {
	fields?: readonly string[];
	with?: readonly (string | Related)[];
	/** Such as "UPDATE" or "SHARE NOWAIT": in transactions. */
	lock?: string;
}

export interface FirstOptions extends GetOptions {
	orderBy?: readonly (string | Path | Order)[];
	after?: readonly Value[];
	offset?: number;
}

export interface FindOptions extends FirstOptions {
	limit?: number;
}

export interface LoadOptions extends FindOptions {
	where?: Where;
}

/** The verbs.  A unit's give a Result, all others a promise. */
interface VerbsOf<Kind extends "promise" | "result"> {
	/** Any verb of lockkeeper-protocol(7). */
	call(verb: string, ...args: Value[]): Given<Kind, any>;
	fetch<T = Row>(sql: string, ...args: Value[]): Given<Kind, T[]>;
	/** The first row. */
	fetchrow<T = Row>(sql: string, ...args: Value[]): Given<Kind, T | null>;
	/** The first column of the first row. */
	fetchval<T = any>(sql: string, ...args: Value[]): Given<Kind, T>;
	/** The command tag, such as "UPDATE 3". */
	execute(sql: string, ...args: Value[]): Given<Kind, string>;
	get<T = Row>(model: string, key: Key, options?: GetOptions): Given<Kind, T | null>;
	find<T = Row>(model: string, where?: Where, options?: FindOptions): Given<Kind, T[]>;
	/** The only row; UnmetError when there is none, or another. */
	one<T = Row>(model: string, where?: Where, options?: GetOptions): Given<Kind, T>;
	first<T = Row>(model: string, where?: Where, options?: FirstOptions): Given<Kind, T | null>;
	count(model: string, where?: Where): Given<Kind, number>;
	exists(model: string, where?: Where): Given<Kind, boolean>;
	create<T = Row>(model: string, values?: Assigned): Given<Kind, T>;
	/** All or none; the first row says which columns they have. */
	createMany(model: string, rows: readonly { [column: string]: Value }[]): Given<Kind, number>;
	/** The row as it is then. */
	update<T = Row>(model: string, key: Key, values: Assigned, options?: { if?: Where }): Given<Kind, T | null>;
	/** The row that has this key, new or changed. */
	upsert<T = Row>(model: string, values: Assigned, options?: { on?: readonly string[] }): Given<Kind, T>;
	/** Whether there was such a row. */
	delete(model: string, key: Key, options?: { if?: Where }): Given<Kind, boolean>;
	updateAll(model: string, where: Where, values: Assigned): Given<Kind, number>;
	deleteAll(model: string, where: Where): Given<Kind, number>;
	/** Rows, or a row or null where there is one at most. */
	load(model: string, key: Key, relation: string, options?: LoadOptions): Given<Kind, any>;
	publish(channel: string, payload: string): Given<Kind, void>;
}

type Given<Kind, T> = Kind extends "result" ? Result<T> : Promise<T>;
type Assigned = { [column: string]: Value | Change | typeof defaultValue };

/** What can be asked for, wherever it is carried out. */
export interface Executor extends VerbsOf<"promise"> {
	options(options: RequestOptions): Executor;
	/** Rows some at a time, so that they may be more than memory holds. */
	iterate<T = Row>(sql: string, ...args: Value[]): AsyncGenerator<T, void, void>;
	/** The same of what find() finds. */
	each<T = Row>(model: string, where?: Where, options?: FindOptions): AsyncGenerator<T, void, void>;
	/** Committed when what call() gives is, rolled back when it throws; a
	 * savepoint inside of another. */
	transaction<T>(call: (tx: Transaction) => T, options?: TransactionOptions): Promise<Awaited<T>>;
}

/** One connection to the daemon for all of a program. */
export interface Lockkeeper extends Executor {
	/** Where requests go that name none. */
	readonly database: string;
	/** How many requests have no reply yet. */
	readonly nPending: number;
	/** One that is ended by hand: only its own methods are part of it. */
	begin(options?: TransactionOptions): Promise<Transaction>;
	/** Outside of the transaction that it would be in. */
	autocommit(): Executor;
	autocommit<T>(call: () => T): T;
	/** What call() keeps, sent whole: the values of all its verbs. */
	unit(call: (unit: Unit) => unknown, options?: UnitOptions): Promise<any[]>;
	/** call() as a task of the daemon's. */
	task<T>(call: (task: Task) => T, options?: { name?: string }): Running<Awaited<T>>;
	/** A function each call of which is a task. */
	handler<A extends unknown[], T>(call: (...args: A) => T): (...args: A) => Running<Awaited<T>>;
	/** Await it, and the daemon knows. */
	awaiting<T>(running: Running<T>): Promise<T>;
	awaiting<T>(running: readonly Running<T>[], options?: { any?: false }): Promise<T[]>;
	awaiting<T>(running: readonly Running<T>[], options: { any: true }): Promise<T>;
	/** Messages of PostgreSQL's NOTIFY in these channels. */
	subscribe(...channels: string[]): Subscription;
	/** What the daemon says unasked: see PUSHES in lockkeeper-protocol(7). */
	on(kind: PushKind, listener: (told: Record<string, any>) => void): this;
	off(kind: PushKind, listener: (told: Record<string, any>) => void): this;
	close(): Promise<void>;
}
export const Lockkeeper: abstract new (...args: never) => Lockkeeper;

export type PushKind = "lockwait" | "blocking" | "deadlock" | "txexpired" | "missed" | "closing";

export interface Task {
	/** As the daemon knows it. */
	readonly name: string;
}

export type Running<T> = Promise<T> & { readonly task: Task };

export interface Transaction extends Executor {
	readonly isOpen: boolean;
	/** The daemon's number for it, as SHOW transactions has it. */
	readonly handle: number;
	readonly database: string | null;
	readonly task: Task | null;
	commit(): Promise<void>;
	rollback(): Promise<void>;
}
export const Transaction: abstract new (...args: never) => Transaction;

/** Several verbs that are sent whole. */
export interface Unit extends VerbsOf<"result"> {
	/** The same, for verbs that fail the unit when they give nothing. */
	readonly must: VerbsOf<"result">;
}
export const Unit: abstract new (...args: never) => Unit;

export interface Result<T> {
	/** Once the unit was carried out. */
	readonly value: T;
	/** A column of its row, as a value for later verbs of the unit. */
	ref(column: string): Reference;
}

export interface Reference {
	readonly text: string;
}

export interface Message {
	channel: string;
	payload: string;
	/** Something was published that did not come, or may have been. */
	missed: boolean;
}

export interface Subscription extends AsyncIterableIterator<Message> {
	readonly channels: string[];
	/** Resolves when everything that is published from now on will come. */
	start(): Promise<this>;
	close(): void;
}
export const Subscription: abstract new (...args: never) => Subscription;

// ---- values and conditions ----

export interface Json {
	readonly value: unknown;
}

/** JSON, whatever the value. */
export function json(value: unknown): Json;

export const everything: unique symbol;
export const defaultValue: unique symbol;

export interface Condition {
	and(...others: Where[]): Condition;
	or(...others: Where[]): Condition;
}

export function and(...conditions: Where[]): Condition;
export function or(...conditions: Where[]): Condition;
export function not(condition: Where): Condition;

export interface Change {
	readonly op: string;
}

export interface Order {
	readonly word: string;
}

export interface Path {
	/** What is in JSON under these keys. */
	at(...keys: (string | number)[]): Path;
	/** What is in JSON, as this type of PostgreSQL's. */
	as(type: string): Path;
	eq(value: Value): Condition;
	ne(value: Value): Condition;
	lt(value: Value): Condition;
	le(value: Value): Condition;
	gt(value: Value): Condition;
	ge(value: Value): Condition;
	like(pattern: string): Condition;
	ilike(pattern: string): Condition;
	contains(value: Value): Condition;
	containedIn(value: Value): Condition;
	overlaps(value: Value): Condition;
	hasKey(key: string): Condition;
	in(values: Iterable<Value>): Condition;
	between(low: Value, high: Value): Condition;
	isNull(): Condition;
	isNotNull(): Condition;
	plus(value: Value): Change;
	minus(value: Value): Change;
	concat(value: Value): Change;
	asc(): Order;
	desc(): Order;
}

/** A column, or what relations lead to: col("author", "name"). */
export function col(...steps: [string, ...string[]]): Path;

export interface Related {
	words(before: string): string[];
}

/** Rows that a relation leads to, to come along. */
export function related(relation: string, options?: {
	limit?: number;
	orderBy?: readonly (string | Path | Order)[];
	with?: readonly (string | Related)[];
}): Related;

// ---- errors: see ERROR REPLIES in lockkeeper-protocol(7) ----

export class LockkeeperError extends Error {
	kind: string;
	sqlstate: string;
	/** What may be tried again. */
	retry: "no" | "statement" | "transaction";
	detail?: string;
	hint?: string;
	table?: string;
	column?: string;
	constraint?: string;
	position?: number;
	tx?: number;
	members?: string;
	index?: number;
	static kind: string;
	static sqlstate: string;
	static retry: string;
}

export class PgError extends LockkeeperError {}
export class DeadlockError extends LockkeeperError {}
export class SerializeError extends LockkeeperError {}
export class LocktimeoutError extends LockkeeperError {}
export class TimeoutError extends LockkeeperError {}
export class CanceledError extends LockkeeperError {}
export class PooltimeoutError extends LockkeeperError {}
export class TxabortedError extends LockkeeperError {}
export class TxexpiredError extends LockkeeperError {}
export class NotxError extends LockkeeperError {}
export class UnknownError extends LockkeeperError {}
export class ConnlostError extends LockkeeperError {}
export class UnmetError extends LockkeeperError {}
export class ExecabortError extends LockkeeperError {}
export class ClosingError extends LockkeeperError {}
export class NoprotoError extends LockkeeperError {}
export class NomodelError extends LockkeeperError {}
export class NocolumnError extends LockkeeperError {}
export class DeniedError extends LockkeeperError {}
export class RequestSyntaxError extends LockkeeperError {}
export class OverloadError extends LockkeeperError {}
export class ProtoError extends LockkeeperError {}
export class IntegrityError extends PgError {}
export class RestrictViolationError extends IntegrityError {}
export class NotNullViolationError extends IntegrityError {}
export class ForeignKeyViolationError extends IntegrityError {}
export class UniqueViolationError extends IntegrityError {}
export class CheckViolationError extends IntegrityError {}
export class ExclusionViolationError extends IntegrityError {}
export class UsageError extends LockkeeperError {}
export class DataError extends LockkeeperError {}
export class ClosedError extends UsageError {}
export class TransactionEnded extends UsageError {}
export class TransactionNotInherited extends UsageError {}
