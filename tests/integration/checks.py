"""What must be true when a scenario is over."""
from timing import eventually


def n_verdicts(client):
    """Deadlocks that the daemon found so far."""
    return len(client.show("deadlocks"))


def assert_nothing_left(db, client, timeout_s=2.5):
    """No transaction, no wait, no busy session and no lock of the daemon's."""
    eventually(lambda: not client.show("transactions"),
               "SHOW transactions is empty", timeout_s)
    eventually(lambda: not client.show("waits"),
               "SHOW waits is empty", timeout_s)
    eventually(lambda: not db.busy(), "no session is busy", timeout_s)
    eventually(lambda: not db.locks(), "no session holds a lock", timeout_s)


def assert_forgotten(db, watcher):
    """Nothing of any other client: see the first promise of this project."""
    eventually(lambda: [c["name"] for c in watcher.show("clients")]
               == ["watcher"], "SHOW clients has only the watcher", 2.5)
    assert_nothing_left(db, watcher)
    eventually(lambda: all(w["state"] in ("idle", "connecting")
                           for w in watcher.show("workers")),
               "all workers are idle", 2.5)
    eventually(lambda: len(watcher.show("tasks")) <= 1,
               "no task but the watcher's", 2.5)


def update(row_id, by=1):
    return f"UPDATE r SET v = v + {by} WHERE id = {row_id}"
