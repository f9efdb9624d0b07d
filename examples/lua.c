/*
 * Lockkeeper from Lua's coroutines: cc -o lua lua.c $(pkg-config --cflags
 * --libs lockkeeper lua5.4), then ./lua SOCKET lua.lua
 *
 * Runs a program in Lua that has these functions:
 *
 *	spawn(function)		begin a coroutine
 *	await(word...)		ask Lockkeeper: the reply, or nil and an error,
 *				which is a table of kind, sqlstate and message
 *
 * await() is lua_yield() underneath: it stops the coroutine that calls it, and
 * never comes back to lk_await(), which the library allows for.
 */
#include <err.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <lockkeeper.h>

#define MAX_WORDS	64

/* What a coroutine of Lua's has with us. */
struct coroutine {
	lua_State	*lua;
	struct lk_task	*task;
};

static struct lk_conn *conn;
static int n_running;

/* ---- replies as values of Lua's ---- */

static void	push_value(lua_State *lua, const struct lk_reply *reply);

static void
push_items(lua_State *lua, const struct lk_reply *reply)
{
	size_t i;

	lua_newtable(lua);
	for (i = 0; i < lk_reply_count(reply); i++) {
		if (lk_reply_type(reply) == LK_REPLY_MAP)
			push_value(lua, lk_reply_key(reply, i));
		else
			lua_pushinteger(lua, (lua_Integer)i + 1);
		push_value(lua, lk_reply_at(reply, i));
		lua_settable(lua, -3);
	}
}

static void
push_error(lua_State *lua, const struct lk_reply *error)
{
	lua_newtable(lua);
	lua_pushstring(lua, lk_reply_kind_word(error));
	lua_setfield(lua, -2, "kind");
	lua_pushstring(lua, lk_reply_sqlstate(error));
	lua_setfield(lua, -2, "sqlstate");
	lua_pushstring(lua, lk_reply_text(error, NULL));
	lua_setfield(lua, -2, "message");
	lua_pushboolean(lua, lk_reply_again(error) == LK_AGAIN_TRANSACTION);
	lua_setfield(lua, -2, "again");
}

static void
push_value(lua_State *lua, const struct lk_reply *reply)
{
	const char *text;
	size_t n;

	luaL_checkstack(lua, 4, "reply");
	switch (lk_reply_type(reply)) {
	case LK_REPLY_NULL:
		lua_pushnil(lua);
		break;
	case LK_REPLY_BOOL:
		lua_pushboolean(lua, lk_reply_int(reply) != 0);
		break;
	case LK_REPLY_INT:
		lua_pushinteger(lua, lk_reply_int(reply));
		break;
	case LK_REPLY_DOUBLE:
		lua_pushnumber(lua, lk_reply_double(reply));
		break;
	case LK_REPLY_TEXT:
	case LK_REPLY_WORD:
		text = lk_reply_text(reply, &n);
		lua_pushlstring(lua, text, n);
		break;
	case LK_REPLY_ERROR:
		push_error(lua, reply);
		break;
	default:
		push_items(lua, reply);
	}
}

/* What await() returns: how many values. */
static int
push_results(lua_State *lua, struct lk_reply *reply)
{
	bool is_error = lk_reply_is_error(reply);

	if (is_error)
		lua_pushnil(lua);
	push_value(lua, reply);
	lk_reply_free(&reply);
	return is_error ? 2 : 1;
}

/* ---- the two callbacks ---- */

/* The coroutine of Lua's that runs, which await() has left here. */
static struct coroutine *running;

static struct lk_reply *
suspend(void *arg, void **coroutine_out)
{
	(void)arg;
	*coroutine_out = running;
	lua_yield(running->lua, 0);	/* does not return */
	return NULL;
}

/* What await() finds by the coroutine that calls it, which is kept by that. */
static void
keep(lua_State *lua, struct coroutine *coroutine)
{
	lua_pushthread(lua);
	if (coroutine != NULL)
		lua_pushlightuserdata(lua, coroutine);
	else
		lua_pushnil(lua);
	lua_settable(lua, LUA_REGISTRYINDEX);
}

/* Run it until it stops again, with so many values for it on its stack. */
static void
run(struct coroutine *coroutine, int n_values)
{
	lua_State *lua = coroutine->lua;
	int n_results, status = lua_resume(lua, NULL, n_values, &n_results);

	if (status == LUA_YIELD)
		return;
	if (status != LUA_OK)
		errx(1, "%s", lua_tostring(lua, -1));
	lk_task_free(&coroutine->task);
	keep(lua, NULL);
	free(coroutine);
	n_running--;
}

static void
resume(void *arg, void *coroutine, struct lk_reply *reply)
{
	(void)arg;
	run(coroutine, push_results(((struct coroutine *)coroutine)->lua,
	    reply));
}

static const struct lk_hooks hooks = {
	sizeof(struct lk_hooks), suspend, resume, NULL
};

/* ---- the functions that Lua sees ---- */

static struct coroutine *
coroutine_of(lua_State *lua)
{
	struct coroutine *found;

	lua_pushthread(lua);
	lua_gettable(lua, LUA_REGISTRYINDEX);
	found = lua_touserdata(lua, -1);
	lua_pop(lua, 1);
	if (found == NULL)
		luaL_error(lua, "await outside a coroutine of spawn");
	return found;
}

static int
await(lua_State *lua)
{
	const char *words[MAX_WORDS];
	size_t lens[MAX_WORDS];
	int n = lua_gettop(lua), i;

	luaL_argcheck(lua, n > 0 && n <= MAX_WORDS, n, "1 to 64 words");
	for (i = 0; i < n; i++)		/* nil is SQL NULL */
		words[i] = lua_isnil(lua, i + 1) ? NULL :
		    luaL_checklstring(lua, i + 1, &lens[i]);
	running = coroutine_of(lua);
	/* Comes back only with an error, which is known at once. */
	return push_results(lua, lk_await(running->task, NULL, (size_t)n,
	    words, lens));
}

static int
spawn(lua_State *lua)
{
	struct coroutine *coroutine = malloc(sizeof(*coroutine));

	luaL_checktype(lua, 1, LUA_TFUNCTION);
	if (coroutine == NULL)
		return luaL_error(lua, "out of memory");
	coroutine->lua = lua_newthread(lua);
	coroutine->task = lk_task_new(conn, &hooks, NULL);
	if (coroutine->task == NULL)
		return luaL_error(lua, "no task");
	keep(coroutine->lua, coroutine);
	lua_pushvalue(lua, 1);
	lua_xmove(lua, coroutine->lua, 1);
	n_running++;
	run(coroutine, 0);
	return 0;
}

int
main(int argc, char **argv)
{
	struct lk_options options = LK_OPTIONS_INIT;
	lua_State *lua = luaL_newstate();

	if (argc != 3 || lua == NULL)
		errx(2, "usage: lua SOCKET PROGRAM");
	options.socket = argv[1];
	options.name = "lua";
	conn = lk_conn_new(&options);
	if (conn == NULL)
		err(1, "no connection");
	luaL_openlibs(lua);
	lua_register(lua, "spawn", spawn);
	lua_register(lua, "await", await);
	if (luaL_dofile(lua, argv[2]) != LUA_OK)
		errx(1, "%s", lua_tostring(lua, -1));
	while (n_running > 0)
		lk_conn_wait(conn, -1);
	lk_conn_free(&conn);
	lua_close(lua);
	return 0;
}
