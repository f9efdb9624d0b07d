/** What the package says of itself. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as lockkeeper from 'lockkeeper';
import { classOf, fromReply } from '../lib/kinds.js';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

test('index.d.ts has what there is, and nothing else', () => {
	const text = read('../index.d.ts');
	const declared = [...text.matchAll(
		/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name);
	assert.deepEqual([...new Set(declared)].sort(),
		Object.keys(lockkeeper).sort());
	for (const [, name, base] of text.matchAll(/class (\w+) extends (\w+)/g)) {
		assert.equal(Object.getPrototypeOf(lockkeeper[name]),
			lockkeeper[base] ?? Error);
	}
});

test('index.d.ts has the methods that there are', () => {
	const text = read('../index.d.ts');
	const declared = (...names) => names.flatMap((name) => {
		const [, behind] = text.split(new RegExp(`interface ${name}\\b`));
		return [...behind.split('\n}')[0].matchAll(
			/^\t(?:readonly )?(\w+)[<(:?]/gm)].map(([, found]) => found);
	});
	const own = (made) => made === Object.prototype ? []
		: [...Object.getOwnPropertyNames(made), ...own(
			Object.getPrototypeOf(made))];
	// What the classes have for each other.
	const inner = ['constructor', 'ask', 'do', 'cursor', 'core', 'checkCaller',
		'connection', 'start', 'run', 'keep', 'words', 'toString'];
	const there = (made) => [...new Set(own(made))].filter(
		(name) => !inner.includes(name)).sort();
	const said = (...names) => [...new Set(declared(...names))].sort();
	const { Lockkeeper, Transaction, Unit, col } = lockkeeper;
	assert.deepEqual(there(Lockkeeper.prototype),
		said('VerbsOf', 'Executor', 'Lockkeeper'));
	assert.deepEqual(there(Transaction.prototype),
		said('VerbsOf', 'Executor', 'Transaction'));
	assert.deepEqual(there(Unit.prototype), said('VerbsOf'));
	assert.deepEqual(there(Object.getPrototypeOf(col('x'))), said('Path'));
	assert.deepEqual(there(Object.getPrototypeOf(col('x').isNull())),
		said('Condition'));
});

test('there is a class for each kind of liblockkeeper\'s', () => {
	const kinds = [...read('../../include/lockkeeper.h').matchAll(
		/^\tLK_KIND_(\w+) = [1-9]/gm)].map(([, kind]) => kind);
	assert(kinds.length > 20);
	for (const kind of kinds) {
		const name = kind === 'SYNTAX' ? 'RequestSyntaxError'
			: `${kind[0]}${kind.slice(1).toLowerCase()}Error`;
		assert.equal(classOf(kind, '00000'), lockkeeper[name], kind);
		assert.equal(lockkeeper[name].name, name);
	}
	assert.equal(classOf('LATER', '00000'), lockkeeper.LockkeeperError);
	assert.equal(classOf('PG', '23999'), lockkeeper.IntegrityError);
});

test('an error\'s fields follow its line', () => {
	const error = fromReply('PG 23505 twice\nretry: no\ndetail: Key: x\n'
		+ 'position: 7\nlater: unknown');
	assert.equal(error.constructor, lockkeeper.UniqueViolationError);
	assert.deepEqual({ ...error }, { kind: 'PG', sqlstate: '23505',
		retry: 'no', detail: 'Key: x', position: 7 });
	assert.equal(String(error), 'UniqueViolationError: twice');
});
