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

It follows an index only for a filter that has nothing besides, and compares
everything else; an index that is named it reads from end to end. Here, of the
indexes that can follow a part of the filter, through $and and $or, the one that
finds the least is followed, and the rest is compared with that; also one of the
documents that have a field, where a clause asks for its value. A hint of an
index of places, which it cannot follow, is one to read the collection.

It reads a database's profiling level with every command; here nobody profiles.

usage: secantusd.py SECONDS [secantusd-py's own flags]
"""

import contextlib
import datetime
import sys
import threading
import time

import bson
from secantus import cli, storage, transactions
from secantus.server import SecantusDBServer
from secantus.transactions import TxnState
from secantus_reads import Catalogue, copy_at_once, counting, pack_at_once

ROWS_AT_ONCE = 100
EXPIRE_EVERY = 600.0  # seconds
SESSIONS_EVERY = 10.0
FEW = 10  # documents: another index could only cost more
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


EXACT = (str, int, float, datetime.datetime, bson.ObjectId)
MILLISECOND = datetime.timedelta(milliseconds=1)


def flat(filter):
    """A filter's fields with their clauses, and what is besides, through $and."""
    clauses, others = {}, []
    for field, clause in filter.items():
        if field == "$and":
            for inner in clause:
                more, rest = flat(inner)
                clauses = more | clauses
                others += rest
        elif field.startswith("$"):
            others.append((field, clause))
        else:
            clauses[field] = clause
    return clauses, others


def part(clauses, keys, multikey):
    """The clauses that an index can follow: values of its first fields, then one of
    several, or a range of dates. The range's bounds are a millisecond further out and
    not in it, since the index loses what lies at a bound that is; and an array may
    pass each by another element, so it follows none."""
    followed = {}
    for field, direction in keys.items():
        clause = clauses.get(field)
        if direction not in (1, -1):
            return None
        if isinstance(clause, EXACT):
            followed[field] = clause
            continue
        if isinstance(clause, dict) and (last := values(clause) or not multikey and dates(clause)):
            followed[field] = last
        break
    return followed


def values(clause):
    return clause if list(clause) == ["$in"] and all(isinstance(v, EXACT) for v in clause["$in"]) else None


BOUNDS = {"$gt": ("$gt", 0), "$gte": ("$gt", -1), "$lt": ("$lt", 0), "$lte": ("$lt", 1)}


def dates(clause):
    bounds = {}
    for operator, bound in clause.items():
        if operator not in BOUNDS or not isinstance(bound, datetime.datetime) or bound.year in (1, 9999):
            return None
        outside, step = BOUNDS[operator]
        bounds[outside] = bound + step * MILLISECOND
    return bounds


def exists(clause):
    return isinstance(clause, EXACT) or isinstance(clause, dict) and bool(clause == {"$exists": True} or values(clause) or dates(clause))


class Server(SecantusDBServer):
    def __init__(self, *args, **flags):
        flags["ttl_sweep_seconds"] = EXPIRE_EVERY
        super().__init__(*args, transaction_lifetime_seconds=float(sys.argv[1]), **flags)
        self.storage.drop_database = self.drop_database(self.storage.drop_database)
        self.storage.drop_collection = self.drop_collection(self.storage.drop_collection)
        self.storage.find_matching = self.unhinted(self.storage.find_matching)
        self.storage._candidates_from_hint = self.read_all_for_places(self.storage._candidates_from_hint)
        self.storage._try_index_id_keys = self.by_parts(self.storage._try_index_id_keys)
        self.storage._query_implies_partial = self.implies(self.storage._query_implies_partial)
        self.storage.get_profile = lambda db: NO_PROFILE
        self.sessions._prune_locked = seldom(SESSIONS_EVERY, self.sessions._prune_locked)
        self.transactions._prune_locked = self.end_dead
        self.transactions._prune_retryable_locked = self.forget_oldest
        self.storage.count_matching = counting(self.storage)
        Catalogue(self.storage)
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

    def by_parts(self, by_whole):
        """Finds candidates (whoever asks compares them with the whole filter)."""
        indexed = self.storage

        def found(db, collection, filter, *, collation=None):
            if collation is not None or not filter:
                return by_whole(db, collection, filter, collation=collation)
            clauses, others = flat(filter)
            if "_id" in clauses and storage._id_point_lookup_keys(clauses["_id"]) is not None:
                return by_whole(db, collection, {"_id": clauses["_id"]})
            if others or len(clauses) > 1:
                parts = [part(clauses, keys, made.get("multikey")) for _, keys, made in indexed._iter_indexes(db, collection)]
                least = None
                for most in sorted((p for p in parts if p), key=len, reverse=True)[:3]:
                    rows = by_whole(db, collection, most)
                    if rows is not None and (least is None or len(rows) < len(least)):
                        least = rows
                    if least is not None and len(least) <= FEW:
                        break
                if least is not None:
                    return least
            for name, branches in others:
                if name == "$or":
                    rows = [found(db, collection, branch) for branch in branches]
                    if all(r is not None for r in rows):
                        return list(dict.fromkeys(row for r in rows for row in r))
            return by_whole(db, collection, filter)

        return found

    def unhinted(self, find):
        def found(db, collection, filter=None, *, hint=None, **how):
            if hint is not None and filter and not how.get("min_bound") and not how.get("max_bound"):
                with self.storage._lock:
                    keys = self.storage._key_spec_for(db, collection, self.storage._resolve_hint(db, collection, hint))
                if keys and part(flat(filter)[0], keys, False):
                    hint = None
            return find(db, collection, filter, hint=hint, **how)

        return found

    def implies(self, otherwise):
        def implied(filter, partial):
            there = {f for f, wanted in partial.items() if wanted == {"$exists": True} and exists(filter.get(f))}
            return otherwise(filter, {f: wanted for f, wanted in partial.items() if f not in there})

        return implied

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
    pack_at_once()
    copy_at_once()
    cli.SecantusDBServer = Server
    sys.exit(cli.main(sys.argv[2:]))
