/** From what the daemon says to an error. */
import * as errors from './errors.js';

const { IntegrityError, LockkeeperError } = errors;

const named = (key, of) => new Map(Object.values(errors)
	.filter((made) => Object.hasOwn(made, key) && of(made))
	.map((made) => [made[key], made]));

const byKind = named('kind', () => true);
const bySqlstate = named('sqlstate',
	(made) => made.prototype instanceof IntegrityError);

const NUMBERS = new Set(['position', 'tx', 'index']);
const FIELDS = new Set(['retry', 'detail', 'hint', 'table', 'column',
	'constraint', 'members']);

/** The class for errors of this kind. */
export function classOf(kind, sqlstate) {
	if (kind === 'PG' && sqlstate.startsWith('23'))
		return bySqlstate.get(sqlstate) ?? IntegrityError;
	return byKind.get(kind) ?? LockkeeperError;
}

/**
 * Of the daemon's `KIND SQLSTATE message`, with a line for each field behind
 * it when it is a blob.
 *
 * @param {string} text
 */
export function fromReply(text) {
	const [line, ...lines] = text.split('\n');
	const [, kind, sqlstate, message] = /^(\S*) ?(\S*) ?(.*)$/s.exec(line);
	const error = new (classOf(kind, sqlstate))(message);
	error.kind = kind;
	error.sqlstate = sqlstate;
	for (const more of lines) {
		const at = more.indexOf(': ');
		const name = more.slice(0, at);
		const value = more.slice(at + 2);
		if (NUMBERS.has(name))
			error[name] = Number(value);
		else if (FIELDS.has(name))
			error[name] = value;
	}
	return error;
}
