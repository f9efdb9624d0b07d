#!/usr/bin/env python3
"""Lockkeeper with redis-py, asyncio or not: redis-py.py SOCKET

Two coroutines move money in opposite directions and may lock each other's
rows.  Whoever is chosen to end the deadlock starts its transaction again.
"""
import asyncio
import sys

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


async def hello(connection):
    """What it says of itself whenever it connects, first or again."""
    await connection.on_connect()
    await connection.send_command("HELLO", "2", "NULL", r"\N")
    await connection.read_response()


async def transfer(pool, task, source, target, amount):
    move = "UPDATE accounts SET balance = balance + $1 WHERE id = $2"
    task = "%" + task
    async with pool.client() as client:  # one connection until the end
        while True:
            tx = "#%d" % await client.execute_command(task, "BEGIN")
            try:
                for change, row in (-amount, source), (amount, target):
                    await client.execute_command(task, tx, "SQL", move,
                                                 change, row)
                return await client.execute_command(task, tx, "COMMIT")
            except redis.ResponseError as error:
                kind, sqlstate, message = str(error).split(" ", 2)
                await client.execute_command(task, tx, "ROLLBACK")
                if kind not in ("DEADLOCK", "SERIALIZE"):
                    raise
                print(f"{task} starts again: {sqlstate} {message}")


async def main():
    pool = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True,
                       retry=Retry(NoBackoff(), 0),  # nothing is sent twice
                       redis_connect_func=hello)
    await asyncio.gather(transfer(pool, "one", 1, 2, 10),
                         transfer(pool, "two", 2, 1, 30))
    # A row of RESP2 is its columns' names and values in turn.
    for row in await pool.execute_command(
            "SQL", "SELECT owner, balance, $1::text AS note FROM accounts "
            "WHERE id < $2 ORDER BY id", r"\N", 3):
        print(dict(zip(row[::2], row[1::2])))
    await pool.close(close_connection_pool=True)


asyncio.run(main())
