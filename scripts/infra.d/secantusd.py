"""Start SecantusDB's server, with what it does for everybody at once made short.

It has no flag for the lifetime of transactions; its constructor has the
parameter. MongoDB gets the same limit through transactionLifetimeLimitSeconds:
without it a process killed inside a transaction blocks its documents for a
minute.

One lock guards the storage, another the transactions, and some of what is done
under them takes seconds, in which every client waits:

  - it looks for dead clients' transactions only when another one comes by, and
    then waits for each that is at work; here somebody looks every second, and
    passes by those that are at work, since they are not dead;
  - a drop waits for the transactions that have changed what is dropped, holding
    the lock that ending them needs, so nothing moves ever again; and it removes
    row by row, a commit each. Here it first waits for open transactions, and
    removes a hundred rows at a time;
  - with every write it goes through what it remembers of the writes of half an
    hour, and sorts that when it is more than ten thousand. What it remembers is
    in the order of time, so here only the oldest are looked at;
  - with every command it goes through all sessions of half an hour, looking for
    those that nobody uses any more; here once in ten seconds;
  - it reads all documents that can expire once a minute; here every ten.

Of a filter with an _id and more it follows another index, and compares all that
that one finds; here the _id. It reads a database's profiling level with every
command; here nobody profiles.

And a hint of an index of places, which it cannot follow, is one to read the
collection.

usage: secantusd.py SECONDS [secantusd-py's own flags]
"""

import contextlib
import sys
import threading
import time

from secantus import cli, storage, transactions
from secantus.server import SecantusDBServer
from secantus.transactions import TxnState

ROWS_AT_ONCE = 100
EXPIRE_EVERY = 600.0  # seconds
SESSIONS_EVERY = 10.0
NO_PROFILE = {"level": 0, "slowms": 100, "sampleRate": 1.0}


def seldom(every, prune):
    last = time.monotonic()

    def pruned():
        nonlocal last
        if time.monotonic() - last < every:
            return 0
        last = time.monotonic()
        return prune()

    return pruned


class Server(SecantusDBServer):
    def __init__(self, *args, **flags):
        flags["ttl_sweep_seconds"] = EXPIRE_EVERY
        super().__init__(*args, transaction_lifetime_seconds=float(sys.argv[1]), **flags)
        self.storage.drop_database = self.drop_database(self.storage.drop_database)
        self.storage.drop_collection = self.drop_collection(self.storage.drop_collection)
        self.storage._candidates_from_hint = self.read_all_for_places(self.storage._candidates_from_hint)
        self.storage._try_index_id_keys = self.by_id(self.storage._try_index_id_keys)
        self.storage.get_profile = lambda db: NO_PROFILE
        self.sessions._prune_locked = seldom(SESSIONS_EVERY, self.sessions._prune_locked)
        self.transactions._prune_locked = self.end_dead
        self.transactions._prune_retryable_locked = self.forget_oldest
        threading.Thread(target=self.reap, daemon=True).start()

    def reap(self):
        while True:
            time.sleep(1)
            try:
                self.transactions.prune_expired()
            except Exception as failed:  # whoever waits for a transaction's end relies on this
                print(f"expired transactions not ended, tried again: {failed!r}", file=sys.stderr, flush=True)

    def end_dead(self):
        registry, ended = self.transactions, 0
        cutoff = registry._time() - registry._lifetime
        for txn in registry._txns.values():
            if txn.state is not TxnState.IN_PROGRESS or txn.last_use >= cutoff or not txn.mutex.acquire(blocking=False):
                continue
            try:
                if txn.state is TxnState.IN_PROGRESS and txn.last_use < cutoff:
                    registry._rollback_quietly(txn)
                    txn.state = TxnState.ABORTED
                    ended += 1
            finally:
                txn.mutex.release()
        return ended

    def forget_oldest(self):
        known = self.transactions._retryable
        cutoff = self.transactions._time() - transactions._RETRYABLE_RECORD_LIFETIME_SECONDS
        while known:
            oldest = next(iter(known))
            if len(known) <= transactions._RETRYABLE_RECORD_MAX and known[oldest][1] >= cutoff:
                break
            known.pop(oldest)

    def drop_database(self, drop):
        def in_parts(db):
            self.wait_for_transactions()
            for collection in self.storage.list_collections(db):
                self.empty(db, collection)
            return drop(db)

        return in_parts

    def drop_collection(self, drop):
        def in_parts(db, collection):
            self.wait_for_transactions()
            self.empty(db, collection)
            return drop(db, collection)

        return in_parts

    def read_all_for_places(self, follow):
        def followed(db, collection, index, *sort):
            keys = self.storage._key_spec_for(db, collection, index) or {}
            return follow(db, collection, "$natural" if "2dsphere" in keys.values() else index, *sort)

        return followed

    def by_id(self, other):
        def found(db, collection, filter, *, collation=None):
            if len(filter) > 1 and "_id" in filter and not any(name.startswith("$") for name in filter):
                if storage._id_point_lookup_keys(filter["_id"]) is not None:
                    filter = {"_id": filter["_id"]}  # whoever asks compares what is found with the whole
            return other(db, collection, filter, collation=collation)

        return found

    def wait_for_transactions(self):
        open_now = list(self.transactions._txns.values())
        while any(t.state is TxnState.IN_PROGRESS for t in open_now):
            time.sleep(0.02)

    def empty(self, db, collection):
        """Removes most of a collection's rows. Whatever fails here is left to the drop."""
        s = self.storage
        for table in (storage._doc_table_for(db, collection), storage._NAT_TABLE, storage._IDX_ENTRIES_TABLE, storage._UNIQ_TABLE):
            with contextlib.suppress(Exception):
                with s._lock:
                    s._refresh_read_snapshot()
                    keys = [key for key, _ in s._collect_prefix(table, (db, collection))]
                while keys:
                    with s._lock, s._batch_transaction():
                        s._delete_keys(table, keys[:ROWS_AT_ONCE])
                    keys = keys[ROWS_AT_ONCE:]


if __name__ == "__main__":
    cli.SecantusDBServer = Server
    sys.exit(cli.main(sys.argv[2:]))
