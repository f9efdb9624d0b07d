/** Which of PostgreSQL's types are text, whatever a cell of theirs says. */

// All names with a blank, too: none is a user's.
const TEXTS = new Set(`text name character "char" xml numeric money uuid date
	interval json jsonb inet cidr bit box circle line lseg path point polygon
	macaddr macaddr8 tsvector tsquery pg_lsn xid xid8 cid tid pg_snapshot
	txid_snapshot jsonpath record void refcursor aclitem regproc
	regprocedure regoper regoperator regclass regtype regconfig
	regdictionary regnamespace regrole regcollation unknown cstring
	pg_node_tree int4range int8range numrange daterange tsrange tstzrange
	int4multirange int8multirange nummultirange datemultirange
	tsmultirange tstzmultirange`.split(/\s+/)).add('character varying')
	.add('bit varying').add('time without time zone')
	.add('time with time zone').add('timestamp without time zone')
	.add('timestamp with time zone');

// Whose cells come as numbers and truth.
const NUMBERS = new Set(['boolean', 'smallint', 'integer', 'bigint', 'oid',
	'real', 'double precision']);

const elementOf = (name) => name.replace(/(\[\])+$/, '');

/** A type whose name says that it is text, or an array of that. */
export const isText = (name) => TEXTS.has(name);

/** Whether what comes as a string of bytes may at once be read as text. */
export function comesAsText(name) {
	const element = elementOf(name);
	return TEXTS.has(element) || NUMBERS.has(element);
}
