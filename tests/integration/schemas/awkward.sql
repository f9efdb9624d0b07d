-- Names that need quotes, and that look like something else; keys of several
-- columns; tables beyond the search path; a column of each type.

CREATE SCHEMA shop;
CREATE SCHEMA "Büro";

-- Reserved words, for the table too, and those of our clauses.
CREATE TABLE "user" (
	"id"		int PRIMARY KEY,
	"order"		text,
	"limit"		int,
	"where"		text,
	"null"		text,
	"not"		boolean,
	"in"		int,
	"all"		int,
	"set"		int,
	"on"		int
);
INSERT INTO "user" SELECT i, 'order ' || i % 3, i % 4, 'where ' || i,
	CASE i % 3 WHEN 1 THEN 'NULL' WHEN 2 THEN 'null' END, i % 2 = 0, i, i, i, i
	FROM generate_series(1, 12) AS i;

-- Mixed case, blanks, quotes, dots, signs, not ASCII.
CREATE TABLE "Order Items" (
	"Order No"	int,
	"item ""no"""	text,
	"naïve"		text,
	"a.b"		int,
	"a->b"		int,
	"x::int"	int,
	"-minus"	int,
	"com,ma"	int,
	"="		int,
	"Ünïcode ☃"	text DEFAULT 'snow',
	PRIMARY KEY ("Order No", "item ""no""")
);
INSERT INTO "Order Items"
	SELECT i / 4, 'it''s "' || i % 4, 'é' || i, i % 5, i % 6, i % 7, -i,
	    i % 2, i % 3
	FROM generate_series(0, 19) AS i;

-- Keys that are words.
CREATE TABLE words (word text PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO words VALUES ('WHERE'), ('SET'), ('IF'), ('ALL'), ('NULL'),
	('LIMIT'), ('FIELDS'), ('DEFAULT'), (''), ('''; DROP TABLE words; --'),
	('"'), ('$1'), ('\'), ('_'), ('ON');

-- Beyond the search path; a table that public has, too; over schemas.
CREATE TABLE shop.customers (
	id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name		text NOT NULL UNIQUE,
	boss_id		bigint REFERENCES shop.customers
);
INSERT INTO shop.customers (name, boss_id)
	SELECT 'customer ' || i, CASE WHEN i > 1 THEN i / 2 END
	FROM generate_series(1, 15) AS i;
CREATE TABLE shop.words (id int PRIMARY KEY, word text);
INSERT INTO shop.words VALUES (1, 'shop''s');
CREATE TABLE shop.orders (
	id		int PRIMARY KEY,
	customer_id	bigint REFERENCES shop.customers,
	user_id		int REFERENCES "user"
);
INSERT INTO shop.orders
	SELECT i, 1 + i % 15, CASE WHEN i % 4 > 0 THEN 1 + i % 12 END
	FROM generate_series(1, 30) AS i;
CREATE TABLE "Büro"."Straße 1" ("Größe" int PRIMARY KEY, "Maß" text);
INSERT INTO "Büro"."Straße 1" VALUES (1, 'eins'), (2, NULL);

-- Keys of several columns, referenced; joined by a table of three.
CREATE TABLE shelf (room int, no text, label text, PRIMARY KEY (room, no));
INSERT INTO shelf SELECT i / 3, chr(97 + i % 3), 'shelf ' || i
	FROM generate_series(0, 8) AS i;
CREATE TABLE book (
	isbn		text PRIMARY KEY,
	room		int,
	shelf_no	text,
	sequel_id	text UNIQUE REFERENCES book,
	FOREIGN KEY (room, shelf_no) REFERENCES shelf
);
INSERT INTO book SELECT 'isbn ' || i,
	CASE WHEN i % 4 > 0 THEN i % 3 END, CASE WHEN i % 4 > 0 THEN 'b' END,
	CASE WHEN i < 10 THEN 'isbn ' || i + 1 END
	FROM generate_series(1, 20) AS i;
CREATE TABLE shelf_user (
	room		int,
	no		text,
	user_id		int REFERENCES "user",
	PRIMARY KEY (user_id, room, no),
	FOREIGN KEY (room, no) REFERENCES shelf
);
INSERT INTO shelf_user SELECT i % 3, chr(97 + i % 2), 1 + i % 12
	FROM generate_series(1, 12) AS i;

-- No key but a unique one, and none at all.
CREATE TABLE tag (name text UNIQUE, n int, weight float8);
CREATE TABLE heap (a int, b text);
INSERT INTO heap VALUES (1, 'x'), (1, 'x'), (NULL, NULL);

CREATE TABLE counter (name text PRIMARY KEY, n bigint NOT NULL, log text,
	tags text[], doc jsonb);

CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN blob AS bytea;
CREATE TABLE kinds (
	id		int PRIMARY KEY,
	i2		smallint,
	i8		bigint,
	oid_		oid,
	f4		real,
	f8		double precision,
	num		numeric,
	money		numeric(8,2),
	yes		boolean,
	t		text,
	vc		varchar(5),
	ch		character(4),
	c		"char",
	n		name,
	d		date,
	tm		time,
	tmz		timetz,
	ts		timestamp,
	tsz		timestamptz,
	iv		interval,
	u		uuid,
	by		bytea,
	j		json,
	jb		jsonb,
	r		int4range,
	ip		inet,
	bits		bit(3),
	p		pair,
	pos		posint,
	bl		blob,
	ints		int[],
	texts		text[],
	nested		float8[],
	bools		boolean[],
	days		date[]
);
INSERT INTO kinds VALUES
	(1, 32767, 9223372036854775807, 4294967295, 3.4028235e38, 1e308,
	    123456789012345678901234567890.123, 99.9, true, 'text', 'vc', 'ch',
	    'x', 'name', '2024-02-29', '12:34:56.789', '12:34:56+02',
	    '2024-02-29 12:34:56.789', '2024-02-29 12:34:56+02', '1 mon 2 days',
	    '12345678-1234-5678-1234-567812345678', '\x00ff0d0a27', '{"a" : 1}',
	    '{"a": [1, {"b": null}]}', '[1,5)', '10.0.0.1/8', '101', '(1,x)', 5,
	    '\x00', '{1,2,NULL}', '{a,"b c",NULL,"NULL","{}","\""}',
	    '{{1.5,2},{NaN,Infinity}}', '{t,f}', '{2024-02-29}'),
	(2, -32768, -9223372036854775808, 0, -0, 'NaN', 'NaN', -99.9, false, '',
	    '', '', '', '', '0001-01-01 BC', '24:00', '00:00+00', 'infinity',
	    '-infinity', '-1 years', '00000000-0000-0000-0000-000000000000', '',
	    'null', 'null', 'empty', '::1', '000', '(,)', 1, '', '{}',
	    '{}', '{}', '{}', '{}');
INSERT INTO kinds (id) VALUES (3);
