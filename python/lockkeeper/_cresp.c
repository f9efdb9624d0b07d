/*
 * lockkeeper._cresp: what _resp.py does, by the repository's own decoder.
 * Where replies end is found once, whatever the pieces they come in
 * (client/frame.h), and a reply that is whole is decoded (resp/value.h).  The
 * values are those of _resp.py, whose classes it is given by use().
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "client/frame.h"
#include "resp/value.h"

/* As many tables are remembered; a program that has more begins anew. */
#define MAX_SHAPES	1000

/* Of _resp.py, once use() was called. */
static struct {
	PyObject *shape, *table, *push, *error;
	PyObject *protocol_error;
	PyObject *decode_text;		/* bytes.decode */
} made;

struct decoder {
	PyObject_HEAD
	struct lk_buf	 bytes;		/* of a reply that is not whole */
	struct lk_frame	 frame;		/* in these */
	PyObject	*shapes;	/* dict: by a table's head */
	struct lk_buf	 head;		/* of the table at hand */
	struct lk_buf	 last_head;	/* of the one before it */
	PyObject	*last_shape;
	size_t		 rows_at;	/* in the reply at hand, behind a tag and that
					   same head; 0: it is any reply */
	size_t		 tag_at, n_tag;	/* likewise */
	unsigned long long n_bytes;
};

static PyObject *to_python(struct decoder *decoder,
		    const struct lk_value *value);

/* ---- words ---- */

/* The longest number, with its sign. */
#define MAX_DIGITS	20

/* At the end of a place; returns where it begins. */
static char *
put_digits(char *end, unsigned long long number)
{
	do {
		*--end = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return end;
}

/* "*3", say. */
static void
put_size(struct lk_buf *out, char what, unsigned long long n)
{
	char line[MAX_DIGITS + 3], *end = line + sizeof(line) - 2;
	char *begin = put_digits(end, n);

	*--begin = what;
	memcpy(end, "\r\n", 2);
	lk_buf_append(out, begin, (size_t)(end + 2 - begin));
}

static void
put_bulk(struct lk_buf *out, const char *bytes, size_t n)
{
	put_size(out, '$', n);
	lk_buf_append(out, bytes, n);
	lk_buf_append(out, "\r\n", 2);
}

/* ---- values ---- */

static PyObject *
to_str(const struct lk_value *value)
{
	return PyUnicode_DecodeUTF8(value->text, (Py_ssize_t)value->n_text,
	    "surrogateescape");
}

static bool
is_text(const struct lk_value *value)
{
	return value->type == LK_VALUE_SIMPLE || value->type == LK_VALUE_BULK;
}

/* Simple strings and bulk strings alike. */
static PyObject *
to_key(struct decoder *decoder, const struct lk_value *value)
{
	return is_text(value) ? to_str(value) : to_python(decoder, value);
}

static PyObject *
to_float(const struct lk_value *value)
{
	double number = PyOS_string_to_double(value->text, NULL, NULL);

	return number == -1.0 && PyErr_Occurred() ? NULL :
	    PyFloat_FromDouble(number);
}

static PyObject *
to_list(struct decoder *decoder, const struct lk_value *items, size_t n)
{
	PyObject *list = PyList_New((Py_ssize_t)n), *item;
	size_t i;

	for (i = 0; list != NULL && i < n; i++) {
		item = to_python(decoder, &items[i]);
		if (item == NULL)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, (Py_ssize_t)i, item);
	}
	return list;
}

static PyObject *
to_dict(struct decoder *decoder, const struct lk_value *value)
{
	PyObject *dict = PyDict_New(), *key, *item;
	size_t i;

	for (i = 0; dict != NULL && i < value->n_items; i += 2) {
		key = to_key(decoder, &value->items[i]);
		item = key == NULL ? NULL :
		    to_python(decoder, &value->items[i + 1]);
		if (item == NULL || PyDict_SetItem(dict, key, item) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(item);
	}
	return dict;
}

/* Steals both; a class derived from tuple, without its __new__ in Python. */
static PyObject *
make_pair(PyObject *cls, PyObject *first, PyObject *second)
{
	PyTypeObject *type = (PyTypeObject *)cls;
	PyObject *pair = first != NULL && second != NULL ?
	    type->tp_alloc(type, 2) : NULL;

	if (pair == NULL) {
		Py_XDECREF(first);
		Py_XDECREF(second);
		return NULL;
	}
	PyTuple_SET_ITEM(pair, 0, first);
	PyTuple_SET_ITEM(pair, 1, second);
	return pair;
}

/* Steals both. */
static PyObject *
pack(PyObject *first, PyObject *second)
{
	PyObject *pair = first == NULL || second == NULL ? NULL :
	    PyTuple_Pack(2, first, second);

	Py_XDECREF(first);
	Py_XDECREF(second);
	return pair;
}

static PyObject *
to_error(const struct lk_value *value)
{
	PyObject *text = to_str(value), *error;

	if (text == NULL)
		return NULL;
	error = PyObject_CallOneArg(made.error, text);
	Py_DECREF(text);
	return error;
}

static PyObject *
to_push(struct decoder *decoder, const struct lk_value *value)
{
	return make_pair(made.push, to_key(decoder, &value->items[0]),
	    to_list(decoder, value->items + 1, value->n_items - 1));
}

/* ---- tables ---- */

static bool
is_word(const struct lk_value *value, const char *word)
{
	return value->type == LK_VALUE_BULK &&
	    value->n_text == strlen(word) &&
	    memcmp(value->text, word, value->n_text) == 0;
}

static bool
are_words(const struct lk_value *value)
{
	size_t i;

	for (i = 0; i < value->n_items; i++) {
		if (value->items[i].type != LK_VALUE_BULK)
			return false;
	}
	return value->type == LK_VALUE_ARRAY;
}

static bool
is_table(const struct lk_value *value)
{
	return value->n_items == 6 && is_word(&value->items[0], "columns") &&
	    is_word(&value->items[2], "types") &&
	    is_word(&value->items[4], "rows") && are_words(&value->items[1]) &&
	    are_words(&value->items[3]) &&
	    value->items[1].n_items == value->items[3].n_items &&
	    value->items[5].type == LK_VALUE_ARRAY;
}

static void
put_words(struct lk_buf *head, const struct lk_value *words)
{
	size_t i;

	put_size(head, '*', words->n_items);
	for (i = 0; i < words->n_items; i++)
		put_bulk(head, words->items[i].text, words->items[i].n_text);
}

/* As the daemon writes what comes before the rows. */
static void
put_head(struct lk_buf *head, const struct lk_value *columns,
    const struct lk_value *types)
{
	lk_buf_puts(head, "%3\r\n$7\r\ncolumns\r\n");
	put_words(head, columns);
	lk_buf_puts(head, "$5\r\ntypes\r\n");
	put_words(head, types);
	lk_buf_puts(head, "$4\r\nrows\r\n");
}

/* A list of str. */
static PyObject *
to_words(const struct lk_value *words)
{
	PyObject *list = PyList_New((Py_ssize_t)words->n_items), *word;
	size_t i;

	for (i = 0; list != NULL && i < words->n_items; i++) {
		word = to_str(&words->items[i]);
		if (word == NULL)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, (Py_ssize_t)i, word);
	}
	return list;
}

static PyObject *
new_shape(struct decoder *decoder, PyObject *key,
    const struct lk_value *columns, const struct lk_value *types)
{
	PyObject *names = to_words(columns), *words = to_words(types);
	PyObject *shape = NULL;

	if (names != NULL && words != NULL)
		shape = PyObject_CallFunctionObjArgs(made.shape, names, words,
		    NULL);
	Py_XDECREF(names);
	Py_XDECREF(words);
	if (shape == NULL)
		return NULL;
	if (PyDict_GET_SIZE(decoder->shapes) >= MAX_SHAPES)
		PyDict_Clear(decoder->shapes);
	if (PyDict_SetItem(decoder->shapes, key, shape) < 0)
		Py_CLEAR(shape);
	return shape;
}

static PyObject *
look_up_shape(struct decoder *decoder, const struct lk_value *columns,
    const struct lk_value *types)
{
	PyObject *key = PyBytes_FromStringAndSize(decoder->head.data,
	    (Py_ssize_t)decoder->head.len), *shape;

	if (key == NULL)
		return NULL;
	shape = PyDict_GetItemWithError(decoder->shapes, key);
	if (shape != NULL)
		Py_INCREF(shape);
	else if (!PyErr_Occurred())
		shape = new_shape(decoder, key, columns, types);
	Py_DECREF(key);
	return shape;
}

/* A reference of the caller's.  Replies that follow each other look the same. */
static PyObject *
shape_of(struct decoder *decoder, const struct lk_value *columns,
    const struct lk_value *types)
{
	struct lk_buf *head = &decoder->head, *last = &decoder->last_head;
	PyObject *shape;

	lk_buf_truncate(head, 0);
	put_head(head, columns, types);
	if (head->broken)
		return PyErr_NoMemory();
	if (decoder->last_shape != NULL && head->len == last->len &&
	    memcmp(head->data, last->data, head->len) == 0) {
		Py_INCREF(decoder->last_shape);
		return decoder->last_shape;
	}
	shape = look_up_shape(decoder, columns, types);
	if (shape == NULL)
		return NULL;
	lk_buf_truncate(last, 0);
	lk_buf_append(last, head->data, head->len);
	Py_INCREF(shape);
	Py_XSETREF(decoder->last_shape, last->broken ? NULL : shape);
	return shape;
}

static PyObject *
to_table(struct decoder *decoder, const struct lk_value *value)
{
	const struct lk_value *rows = &value->items[5];
	PyObject *shape = shape_of(decoder, &value->items[1],
	    &value->items[3]);

	return shape == NULL ? NULL : make_pair(made.table, shape,
	    to_list(decoder, rows->items, rows->n_items));
}

static PyObject *
to_python(struct decoder *decoder, const struct lk_value *value)
{
	switch (value->type) {
	case LK_VALUE_NULL:
		Py_RETURN_NONE;
	case LK_VALUE_BOOL:
		return PyBool_FromLong(value->integer != 0);
	case LK_VALUE_INT:
		return PyLong_FromLongLong(value->integer);
	case LK_VALUE_DOUBLE:
		return to_float(value);
	case LK_VALUE_BULK:
		return PyBytes_FromStringAndSize(value->text,
		    (Py_ssize_t)value->n_text);
	case LK_VALUE_SIMPLE:
		return to_str(value);
	case LK_VALUE_ERROR:
		return to_error(value);
	case LK_VALUE_ARRAY:
		return to_list(decoder, value->items, value->n_items);
	case LK_VALUE_MAP:
		return is_table(value) ? to_table(decoder, value) :
		    to_dict(decoder, value);
	case LK_VALUE_PUSH:
		if (value->n_items > 0)
			return to_push(decoder, value);
		break;
	}
	PyErr_SetString(made.protocol_error, "a push without a kind");
	return NULL;
}

/* (tag, value): a push `reply` is that of the request with its tag. */
static PyObject *
to_reply(struct decoder *decoder, const struct lk_value *value)
{
	const struct lk_value *items = value->items;
	PyObject *tag = Py_None;

	if (value->type == LK_VALUE_PUSH && value->n_items == 3 &&
	    items[0].type == LK_VALUE_SIMPLE &&
	    strcmp(items[0].text, "reply") == 0 && is_text(&items[1])) {
		tag = PyBytes_FromStringAndSize(items[1].text,
		    (Py_ssize_t)items[1].n_text);
		if (tag == NULL)
			return NULL;
		value = &items[2];
	} else {
		Py_INCREF(tag);
	}
	return pack(tag, to_python(decoder, value));
}

/* ---- Decoder ---- */

static const char tag_begin[] = ">3\r\n+reply\r\n$";

/* Where rows begin whose head need not be looked at again; 0: they do not. */
static size_t
find_rows(struct decoder *decoder, const char *bytes, size_t n)
{
	const struct lk_buf *head = &decoder->last_head;
	size_t at = strlen(tag_begin), n_tag = 0;

	if (decoder->last_shape == NULL || n < at ||
	    memcmp(bytes, tag_begin, at) != 0)
		return 0;
	for (; at < n && bytes[at] >= '0' && bytes[at] <= '9'; at++) {
		n_tag = 10 * n_tag + (size_t)(bytes[at] - '0');
		if (n_tag > n)
			return 0;
	}
	decoder->tag_at = at + 2;
	decoder->n_tag = n_tag;
	at += 2 + n_tag + 2;
	if (at > n || n - at <= head->len ||
	    memcmp(bytes + at, head->data, head->len) != 0)
		return 0;
	at += head->len;
	return bytes[at] == '*' ? at : 0;	/* a list */
}

/* lk_value_decode() for what is whole; -1: an exception is set. */
static int
decode(const char *bytes, size_t n, struct lk_value *value_out,
    size_t *used_out)
{
	struct lk_error error;
	int rc;

	lk_error_init(&error);
	rc = lk_value_decode(bytes, n, value_out, used_out, &error);
	if (rc >= 0)
		return 0;
	PyErr_SetString(rc == -LK_E_NOMEM ? PyExc_MemoryError :
	    made.protocol_error, error.is_set ? error.message :
	    "a reply that is not whole");
	lk_error_fini(&error);
	return -1;
}

/* Of the same columns as the table before it. */
static PyObject *
to_same_table(struct decoder *decoder, const char *bytes,
    const struct lk_value *rows)
{
	Py_INCREF(decoder->last_shape);
	return pack(PyBytes_FromStringAndSize(bytes + decoder->tag_at,
	    (Py_ssize_t)decoder->n_tag), make_pair(made.table,
	    decoder->last_shape, to_list(decoder, rows->items,
	    rows->n_items)));
}

static int
take_reply(struct decoder *decoder, const char *bytes, size_t n,
    size_t *used_out, PyObject *list)
{
	struct lk_value value;
	size_t rows_at = decoder->rows_at;
	PyObject *reply;
	int rc;

	if (decode(bytes + rows_at, n - rows_at, &value, used_out) < 0)
		return -1;
	*used_out += rows_at;
	reply = rows_at > 0 ? to_same_table(decoder, bytes, &value) :
	    to_reply(decoder, &value);
	lk_value_fini(&value);
	if (reply == NULL)
		return -1;
	rc = PyList_Append(list, reply);
	Py_DECREF(reply);
	return rc;
}

/* Of rows whose head is known only they have to be. */
static bool
is_whole(struct decoder *decoder, const char *bytes, size_t n)
{
	if (decoder->frame.at == 0)
		decoder->rows_at = find_rows(decoder, bytes, n);
	return lk_frame_is_whole(&decoder->frame, bytes + decoder->rows_at,
	    n - decoder->rows_at);
}

/* Those that are whole; returns where what is not begins, or -1. */
static Py_ssize_t
take_replies(struct decoder *decoder, const char *bytes, size_t n,
    PyObject *list)
{
	size_t at = 0, used;

	while (at < n && is_whole(decoder, bytes + at, n - at)) {
		lk_frame_init(&decoder->frame);
		if (take_reply(decoder, bytes + at, n - at, &used, list) < 0)
			return -1;
		at += used;
	}
	return (Py_ssize_t)at;
}

static PyObject *
decoder_feed(PyObject *self, PyObject *data)
{
	struct decoder *decoder = (struct decoder *)self;
	PyObject *list;
	Py_buffer view;
	const char *bytes;
	size_t n;
	Py_ssize_t used;

	if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
		return NULL;
	decoder->n_bytes += (unsigned long long)view.len;
	bytes = view.buf;
	n = (size_t)view.len;
	if (decoder->bytes.len > 0) {
		lk_buf_append(&decoder->bytes, bytes, n);
		bytes = decoder->bytes.data;
		n = decoder->bytes.len;
	}
	list = decoder->bytes.broken ? PyErr_NoMemory() : PyList_New(0);
	used = list == NULL ? -1 : take_replies(decoder, bytes, n, list);
	if (used < 0)
		Py_CLEAR(list);
	else if (decoder->bytes.len > 0)
		lk_buf_consume(&decoder->bytes, (size_t)used);
	else
		lk_buf_append(&decoder->bytes, bytes + used,
		    n - (size_t)used);
	PyBuffer_Release(&view);
	return list;
}

static PyObject *
decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	struct decoder *decoder;

	(void)args;
	(void)kwargs;
	decoder = (struct decoder *)type->tp_alloc(type, 0);
	if (decoder == NULL)
		return NULL;
	lk_frame_init(&decoder->frame);
	decoder->shapes = PyDict_New();
	if (decoder->shapes == NULL)
		Py_CLEAR(decoder);
	return (PyObject *)decoder;
}

static void
decoder_dealloc(PyObject *self)
{
	struct decoder *decoder = (struct decoder *)self;
	PyTypeObject *type = Py_TYPE(self);

	lk_buf_fini(&decoder->bytes);
	lk_buf_fini(&decoder->head);
	lk_buf_fini(&decoder->last_head);
	Py_CLEAR(decoder->shapes);
	Py_CLEAR(decoder->last_shape);
	type->tp_free(self);
	Py_DECREF(type);
}

static PyMethodDef decoder_methods[] = {
	{ "feed", decoder_feed, METH_O, "What is whole, as (tag, value)." },
	{ NULL, NULL, 0, NULL },
};

static PyMemberDef decoder_members[] = {
	{ "n_bytes", T_ULONGLONG, offsetof(struct decoder, n_bytes), READONLY,
	    "Of all that came, ever." },
	{ NULL, 0, 0, 0, NULL },
};

static PyType_Slot decoder_slots[] = {
	{ Py_tp_new, (void *)(uintptr_t)decoder_new },
	{ Py_tp_dealloc, (void *)(uintptr_t)decoder_dealloc },
	{ Py_tp_methods, decoder_methods },
	{ Py_tp_members, decoder_members },
	{ 0, NULL },
};

static PyType_Spec decoder_spec = {
	.name = "lockkeeper._cresp.Decoder",
	.basicsize = sizeof(struct decoder),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = decoder_slots,
};

/* ---- who waits ---- */

/* 0; 1: nobody waits for it any more; -1: an exception is set. */
static int
set_result(PyObject *future, PyObject *value)
{
	static PyObject *is_done, *set;
	PyObject *done, *none;
	int rc;

	if (is_done == NULL)
		is_done = PyUnicode_InternFromString("done");
	if (set == NULL)
		set = PyUnicode_InternFromString("set_result");
	if (is_done == NULL || set == NULL)
		return -1;
	done = PyObject_CallMethodNoArgs(future, is_done);
	rc = done == NULL ? -1 : PyObject_IsTrue(done);
	Py_XDECREF(done);
	if (rc != 0)
		return rc;
	none = PyObject_CallMethodOneArg(future, set, value);
	Py_XDECREF(none);
	return none == NULL ? -1 : 0;
}

/* The future, whether it may commit, and the orphanage, or None for either. */
static int
settle_one(PyObject *entry, PyObject *value)
{
	PyObject *future, *orphan, *none;
	int rc;

	if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 3) {
		PyErr_SetString(PyExc_TypeError, "a request waits as a tuple "
		    "of three");
		return -1;
	}
	future = PyTuple_GET_ITEM(entry, 0);
	orphan = PyTuple_GET_ITEM(entry, 2);
	rc = future == Py_None ? 0 : set_result(future, value);
	if (rc <= 0 || orphan == Py_None)
		return rc < 0 ? -1 : 0;
	none = PyObject_CallOneArg(orphan, value);
	Py_XDECREF(none);
	return none == NULL ? -1 : 0;
}

/* Whose has no tag goes to the rest. */
static int
settle_reply(PyObject *pending, PyObject *reply, PyObject *rest)
{
	PyObject *tag = PyTuple_GET_ITEM(reply, 0), *entry;
	int rc;

	if (tag == Py_None)
		return PyList_Append(rest, PyTuple_GET_ITEM(reply, 1));
	entry = PyDict_GetItemWithError(pending, tag);
	if (entry == NULL)
		return PyErr_Occurred() ? -1 : 0;
	Py_INCREF(entry);
	rc = PyDict_DelItem(pending, tag) < 0 ? -1 :
	    settle_one(entry, PyTuple_GET_ITEM(reply, 1));
	Py_DECREF(entry);
	return rc;
}

static PyObject *
settle(PyObject *module, PyObject *args)
{
	PyObject *pending, *replies, *rest;
	Py_ssize_t i;

	(void)module;
	if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &pending,
	    &PyList_Type, &replies))
		return NULL;
	rest = PyList_New(0);
	for (i = 0; rest != NULL && i < PyList_GET_SIZE(replies); i++) {
		if (settle_reply(pending, PyList_GET_ITEM(replies, i),
		    rest) < 0)
			Py_CLEAR(rest);
	}
	return rest;
}

/* ---- requests ---- */

static int
put_word(struct lk_buf *out, PyObject *word)
{
	if (word == Py_None) {
		lk_buf_puts(out, "$-1\r\n");
		return 0;
	}
	if (!PyBytes_Check(word)) {
		PyErr_Format(PyExc_TypeError, "a word is bytes or None, not %s",
		    Py_TYPE(word)->tp_name);
		return -1;
	}
	put_bulk(out, PyBytes_AS_STRING(word), (size_t)PyBytes_GET_SIZE(word));
	return 0;
}

static int
put_text(struct lk_buf *out, PyObject *text)
{
	Py_ssize_t n;
	const char *bytes = PyUnicode_AsUTF8AndSize(text, &n);

	if (bytes == NULL)
		return -1;
	put_bulk(out, bytes, (size_t)n);
	return 0;
}

/* What is none of the usual: as encode makes it. */
static int
put_encoded(struct lk_buf *out, PyObject *value, PyObject *encode)
{
	PyObject *word = PyObject_CallOneArg(encode, value);
	int rc = word == NULL ? -1 : put_word(out, word);

	Py_XDECREF(word);
	return rc;
}

static int
put_integer(struct lk_buf *out, PyObject *value, PyObject *encode)
{
	char digits[MAX_DIGITS], *end = digits + sizeof(digits), *begin;
	int overflow;
	long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

	if (overflow != 0)
		return put_encoded(out, value, encode);
	begin = put_digits(end, number < 0 ? 0ULL - (unsigned long long)number :
	    (unsigned long long)number);
	if (number < 0)
		*--begin = '-';
	put_bulk(out, begin, (size_t)(end - begin));
	return 0;
}

static int
put_value(struct lk_buf *out, PyObject *value, PyObject *encode)
{
	if (value == Py_None || PyBytes_CheckExact(value))
		return put_word(out, value);
	if (PyUnicode_CheckExact(value))
		return put_text(out, value);
	if (PyLong_CheckExact(value))
		return put_integer(out, value, encode);
	return put_encoded(out, value, encode);
}

static PyObject *
take_out(struct lk_buf *out, int rc)
{
	PyObject *bytes = NULL;

	if (rc == 0 && out->broken)
		PyErr_NoMemory();
	else if (rc == 0)
		bytes = PyBytes_FromStringAndSize(out->data,
		    (Py_ssize_t)out->len);
	lk_buf_fini(out);
	return bytes;
}

static PyObject *
bulk(PyObject *module, PyObject *word)
{
	struct lk_buf out = LK_BUF_INIT;
	int rc = put_word(&out, word);

	(void)module;
	return take_out(&out, rc);
}

/* Head: whether the request's own comes before its words. */
static PyObject *
put_words_of(PyObject *words, bool has_head)
{
	struct lk_buf out = LK_BUF_INIT;
	PyObject *list = PySequence_Fast(words, "words are a sequence");
	Py_ssize_t i;
	int rc = 0;

	if (list == NULL)
		return NULL;
	if (has_head)
		put_size(&out, '*', (unsigned long long)
		    PySequence_Fast_GET_SIZE(list));
	for (i = 0; rc == 0 && i < PySequence_Fast_GET_SIZE(list); i++)
		rc = put_word(&out, PySequence_Fast_GET_ITEM(list, i));
	Py_DECREF(list);
	return take_out(&out, rc);
}

static PyObject *
bulks(PyObject *module, PyObject *words)
{
	(void)module;
	return put_words_of(words, false);
}

static PyObject *
encoded(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
	struct lk_buf out = LK_BUF_INIT;
	PyObject *list;
	Py_ssize_t i;
	int rc = 0;

	(void)module;
	if (n_args != 2) {
		PyErr_SetString(PyExc_TypeError, "encoded(values, encode)");
		return NULL;
	}
	list = PySequence_Fast(args[0], "values are a sequence");
	if (list == NULL)
		return NULL;
	for (i = 0; rc == 0 && i < PySequence_Fast_GET_SIZE(list); i++)
		rc = put_value(&out, PySequence_Fast_GET_ITEM(list, i),
		    args[1]);
	Py_DECREF(list);
	return take_out(&out, rc);
}

static PyObject *
request(PyObject *module, PyObject *words)
{
	(void)module;
	return put_words_of(words, true);
}

/* Before at; returns where it begins. */
static char *
put_size_before(char *at, char what, unsigned long long n)
{
	memcpy(at - 2, "\r\n", 2);
	at = put_digits(at - 2, n);
	*--at = what;
	return at;
}

/* From the end of room on, which is enough: "*3 $2 @7", say; where the tag
 * is. */
static char *
put_front(char *end, unsigned long long n, unsigned long long number,
    char **begin_out)
{
	char *tag, *at;

	memcpy(end - 2, "\r\n", 2);
	tag = put_digits(end - 2, number);
	at = tag;
	*--at = '@';
	at = put_size_before(at, '$', (unsigned long long)(end - 2 - at));
	*begin_out = put_size_before(at, '*', n + 1);
	return tag;
}

static PyObject *
tagged(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
	char room[3 * (MAX_DIGITS + 4)], *end = room + sizeof(room);
	char *begin, *tag, *to;
	PyObject *head, *data, *bytes;
	unsigned long long number, n;
	size_t n_front;

	(void)module;
	head = n_args == 4 ? args[2] : Py_None;
	data = n_args == 4 ? args[3] : Py_None;
	if (!PyBytes_Check(head) || !PyBytes_Check(data)) {
		PyErr_SetString(PyExc_TypeError,
		    "tagged(number, n, head, data)");
		return NULL;
	}
	number = PyLong_AsUnsignedLongLong(args[0]);
	n = PyLong_AsUnsignedLongLong(args[1]);
	if (PyErr_Occurred())
		return NULL;
	tag = put_front(end, n, number, &begin);
	n_front = (size_t)(end - begin);
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n_front +
	    PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(data));
	if (bytes == NULL)
		return NULL;
	to = PyBytes_AS_STRING(bytes);
	memcpy(to, begin, n_front);
	to += n_front;
	memcpy(to, PyBytes_AS_STRING(head), (size_t)PyBytes_GET_SIZE(head));
	to += PyBytes_GET_SIZE(head);
	memcpy(to, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
	return pack(PyBytes_FromStringAndSize(tag, end - 2 - tag), bytes);
}

/* ---- rows ---- */

/* Where a class has what its __slots__ name; one of Row's is asked for again and
 * again. */
static struct {
	PyTypeObject *type;
	Py_ssize_t shape, cells;
} row;

static Py_ssize_t
find_slot(PyTypeObject *type, const char *name)
{
	PyObject *slot = PyObject_GetAttrString((PyObject *)type, name);
	Py_ssize_t offset = -1;

	if (slot != NULL && Py_IS_TYPE(slot, &PyMemberDescr_Type))
		offset = ((PyMemberDescrObject *)slot)->d_member->offset;
	else if (slot != NULL)
		PyErr_Format(PyExc_TypeError, "%s.%s is no slot",
		    type->tp_name, name);
	Py_XDECREF(slot);
	return offset;
}

static int
find_slots(PyTypeObject *type)
{
	Py_ssize_t shape, cells;

	if (row.type == type)
		return 0;
	shape = find_slot(type, "_shape");
	cells = shape < 0 ? -1 : find_slot(type, "_cells");
	if (cells < 0)
		return -1;
	Py_INCREF(type);
	Py_XSETREF(row.type, type);
	row.shape = shape;
	row.cells = cells;
	return 0;
}

/* As Row(shape, cells); steals cells. */
static PyObject *
new_row(PyObject *shape, PyObject *cells)
{
	char *place = cells == NULL ? NULL :
	    (char *)row.type->tp_alloc(row.type, 0);

	if (place == NULL) {
		Py_XDECREF(cells);
		return NULL;
	}
	Py_INCREF(shape);
	*(PyObject **)(void *)(place + row.shape) = shape;
	*(PyObject **)(void *)(place + row.cells) = cells;
	return (PyObject *)place;
}

static PyObject *
decode_cell(PyObject *decode_it, PyObject *cell)
{
	if (decode_it == made.decode_text && PyBytes_CheckExact(cell))
		return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(cell),
		    PyBytes_GET_SIZE(cell), NULL);
	return PyObject_CallOneArg(decode_it, cell);
}

/* The cells decoded by the plan, pairs of a column's number and a function. */
static PyObject *
decode_cells(PyObject *cells, PyObject *plan)
{
	PyObject *list = PyList_GetSlice(cells, 0, PyList_GET_SIZE(cells));
	PyObject *cell, *pair;
	Py_ssize_t i, column;

	for (i = 0; list != NULL && i < PyTuple_GET_SIZE(plan); i++) {
		pair = PyTuple_GET_ITEM(plan, i);
		column = PyLong_AsSsize_t(PyTuple_GET_ITEM(pair, 0));
		cell = PyList_GetItem(list, column);
		if (cell == Py_None)
			continue;
		cell = cell == NULL ? NULL :
		    decode_cell(PyTuple_GET_ITEM(pair, 1), cell);
		if (cell == NULL || PyList_SetItem(list, column, cell) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *
rows(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
	PyObject *shape, *plan, *lists, *list, *made_row;
	Py_ssize_t i;

	(void)module;
	if (n_args != 4 || !PyType_Check(args[0]) ||
	    !PyTuple_Check(args[2]) || !PyList_Check(args[3])) {
		PyErr_SetString(PyExc_TypeError,
		    "rows(cls, shape, plan, lists)");
		return NULL;
	}
	shape = args[1];
	plan = args[2];
	lists = args[3];
	if (find_slots((PyTypeObject *)args[0]) < 0)
		return NULL;
	list = PyList_New(PyList_GET_SIZE(lists));
	for (i = 0; list != NULL && i < PyList_GET_SIZE(lists); i++) {
		made_row = new_row(shape, decode_cells(
		    PyList_GET_ITEM(lists, i), plan));
		if (made_row == NULL)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, i, made_row);
	}
	return list;
}

/* ---- the module ---- */

/* The interpreter keeps them as long as it keeps _resp. */
static PyObject *
use(PyObject *module, PyObject *args)
{
	(void)module;
	if (!PyArg_ParseTuple(args, "OO!O!OO", &made.shape, &PyType_Type,
	    &made.table, &PyType_Type, &made.push, &made.error,
	    &made.protocol_error))
		return NULL;
	Py_INCREF(made.shape);
	Py_INCREF(made.table);
	Py_INCREF(made.push);
	Py_INCREF(made.error);
	Py_INCREF(made.protocol_error);
	made.decode_text = PyObject_GetAttrString((PyObject *)&PyBytes_Type,
	    "decode");
	if (made.decode_text == NULL)
		return NULL;
	Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
	{ "use", use, METH_VARARGS,
	    "use(Shape, Table, Push, ErrorReply, ProtocolError), first" },
	{ "bulk", bulk, METH_O, "A word, encoded." },
	{ "bulks", bulks, METH_O, "Words, encoded." },
	{ "encoded", (PyCFunction)(void (*)(void))encoded, METH_FASTCALL,
	    "Values, encoded: bytes and None as they are, else by encode." },
	{ "request", request, METH_O, "A request of these words." },
	{ "settle", settle, METH_VARARGS,
	    "settle(pending, replies): hand each reply with a tag to who waits "
	    "for it; the values of the others." },
	{ "tagged", (PyCFunction)(void (*)(void))tagged, METH_FASTCALL,
	    "tagged(number, n, head, data): a request of n words, head and data, "
	    "as (tag, bytes)." },
	{ "rows", (PyCFunction)(void (*)(void))rows, METH_FASTCALL,
	    "rows(cls, shape, plan, lists): cls(shape, cells) for each list, "
	    "its cells decoded by the plan." },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "lockkeeper._cresp",
	.m_size = -1,
	.m_methods = functions,
};

PyMODINIT_FUNC PyInit__cresp(void);

PyMODINIT_FUNC
PyInit__cresp(void)
{
	PyObject *module = PyModule_Create(&definition);
	PyObject *type = module == NULL ? NULL :
	    PyType_FromSpec(&decoder_spec);

	if (type == NULL || PyModule_AddObject(module, "Decoder", type) < 0) {
		Py_XDECREF(type);
		Py_CLEAR(module);
	}
	return module;
}
