"""Make SecantusDB read its catalogue once for a command, and pack keys at once.

It reads, unpacks and decodes all indexes of a collection several times for each
command, and once more for each document that is inserted: a quarter of what it
does in the specs. Here a thread that serves a client remembers them, and the
collection's options, until the command is over, a transaction is entered or
left, or it changes one of them itself.

WiredTiger's Python half packs keys character by character of their format.
Nearly all formats are texts, followed by bytes or a number; those are packed
and unpacked at once, and whatever is unusual is left to it.

It counts a collection by unpacking each row, and every client waits meanwhile;
here rows are counted without a look at them.

It copies documents deeply, and values that never change by taking them apart and
putting them together again; here those are their own copies.
"""

import contextlib
import copy
import datetime

import bson
from secantus import deadline, storage
from wiredtiger import swig_wiredtiger
from wiredtiger.intpacking import pack_int, unpack_int

MOST_DECODED = 10_000  # rows of the catalogue, some 200 bytes each
ROWS_WITHOUT_A_LOOK = 1_000  # at the time that a command may take

# What changes the catalogue, or what of it a thread sees.
CHANGES = (
    "_ensure_collection _write_coll_options create_collection create_index drop_all_indexes drop_collection "
    "drop_database drop_index record_collmod rename_collection set_index_expiry set_index_options"
).split()
VIEWS = "_batch_transaction _committed_read_scope use_user_transaction".split()


def counting(of):
    """count_matching, where it is of all."""
    by_reading, lowest, highest = of.count_matching, -(2**63), 2**63 - 1

    def rows(db, collection):
        with of._lock:
            of._refresh_read_snapshot()
            cursor = of._cursor_optional(storage._doc_table_for(db, collection))
            if cursor is None:
                return 0
            total = 0
            try:
                for bound, record in (("lower", lowest), ("upper", highest)):
                    cursor.set_key(db, collection, record)
                    cursor.bound(f"action=set,bound={bound}")
                while cursor.next() == 0:
                    total += 1
                    if total % ROWS_WITHOUT_A_LOOK == 0:
                        deadline.check()
            finally:
                cursor.reset()
                cursor.bound("action=clear")
            return total

    def counted(db, collection, filter=None, **how):
        if filter or db in ("admin", "local", "config") or collection.startswith("system."):
            return by_reading(db, collection, filter, **how)
        return rows(db, collection)

    return counted


class Catalogue:
    """What each thread has read of the catalogue for its present command."""

    def __init__(self, of):
        self.thread = of._tls
        self.decoded = {}
        self.read_rows = of._cursor
        of._iter_indexes = self.once(self.indexes)
        of._coll_options = self.once(of._coll_options, copied=lambda options: None if options is None else dict(options))
        of._collection_uuid = self.without_memory(of._collection_uuid)
        of._maybe_mark_multikey = self.marking(of._maybe_mark_multikey)
        of._refresh_read_snapshot = self.forgetting(of._refresh_read_snapshot)
        of.release_thread_snapshot = self.forgetting(of.release_thread_snapshot, serves=True)
        for name in CHANGES:
            setattr(of, name, self.forgetting(getattr(of, name)))
        for name in VIEWS:
            setattr(of, name, self.another_view(getattr(of, name)))

    def indexes(self, db, collection):
        rows = self.read_rows(storage._IDX_TABLE)
        rows.set_key(db, collection, "")
        where = rows.search_near()
        if where == storage.wt.WT_NOTFOUND or where < 0 and rows.next() != 0:
            return []
        found = []
        while (key := rows.get_key())[:2] == [db, collection]:
            found.append((key[2], *self.decode(bytes(rows.get_value()))))
            if rows.next() != 0:
                break
        return found

    def decode(self, row):
        made = self.decoded.get(row)
        if made is None:
            if len(self.decoded) >= MOST_DECODED:
                self.decoded.clear()
            index = bson.decode(row)
            made = self.decoded[row] = index.get("key", {}), index.get("options", {})
        return made

    def once(self, read, copied=lambda rows: rows):
        def known(db, collection):
            memory = getattr(self.thread, "catalogue", None)
            if memory is None:  # no client's thread: nobody would tell it to forget
                return read(db, collection)
            key = (read, db, collection)
            if key not in memory:
                memory[key] = read(db, collection)
            return copied(memory[key])

        return known

    def forget(self):
        if memory := getattr(self.thread, "catalogue", None):
            memory.clear()

    def forgetting(self, do, serves=False):
        def done(*args, **how):
            if serves and getattr(self.thread, "catalogue", None) is None:
                self.thread.catalogue = {}
            try:
                return do(*args, **how)
            finally:
                self.forget()

        return done

    def without_memory(self, do):
        """For what reads once more under a lock to see what others have written."""

        def done(*args):
            memory = getattr(self.thread, "catalogue", None)
            self.thread.catalogue = None
            try:
                return do(*args)
            finally:
                self.thread.catalogue = memory
                self.forget()

        return done

    def marking(self, mark):
        def marked(db, collection, document, indexes, already):
            before = len(already)
            names = mark(db, collection, document, indexes, already)
            if len(names) != before:
                self.forget()
            return names

        return marked

    def another_view(self, enter):
        @contextlib.contextmanager
        def entered(*args, **how):
            self.forget()
            try:
                with enter(*args, **how) as view:
                    yield view
            finally:
                self.forget()

        return entered


# How many texts a format begins with, and what follows: nothing, bytes or a number.
SHAPES = {"S" * texts + rest: (texts, rest) for texts in range(5) for rest in ("", "u", "q") if texts or rest}


# Numbers from here are packed as their length and the rest (WiredTiger's intpacking).
LARGE = 2**13 + 2**6
LARGE_MARK = 0xE0


def pack_number(number):
    rest = number - LARGE
    if rest <= 0:
        return pack_int(number)
    length = (rest.bit_length() + 7) // 8
    return bytes((LARGE_MARK | length,)) + rest.to_bytes(length, "big")


def unpack_number(packed):
    if packed[0] < LARGE_MARK:
        return unpack_int(packed)[0]
    return LARGE + int.from_bytes(packed[1 : 1 + (packed[0] & 0x0F)], "big")


def packing(otherwise):
    def pack(format, *values):
        known = SHAPES.get(format)
        if known is None or len(values) != len(format):
            return otherwise(format, *values)
        texts, rest = known
        packed = b""
        if texts:
            try:
                joined = "\0".join(values[:texts])
            except TypeError:
                return otherwise(format, *values)
            if joined.count("\0") != texts - 1:
                return otherwise(format, *values)
            packed = joined.encode() + b"\0"
        if rest == "q":
            return packed + pack_number(values[-1])
        if rest == "u":
            if type(values[-1]) is not bytes:
                return otherwise(format, *values)
            return packed + values[-1]
        return packed

    return pack


def unpacking(otherwise):
    def unpack(format, packed):
        known = SHAPES.get(format)
        if known is None or type(packed) is not bytes:
            return otherwise(format, packed)
        texts, rest = known
        values = packed.split(b"\0", texts)
        if len(values) != texts + 1:
            return otherwise(format, packed)
        last = values.pop()
        values = [text.decode() for text in values]
        if rest == "u":
            values.append(last)
        elif rest == "q":
            values.append(unpack_number(last))
        return values

    return unpack


UNCHANGING = (bson.ObjectId, bson.Int64, bson.Timestamp, bson.Decimal128, bson.Binary, datetime.datetime)


def copy_at_once():
    for kind in UNCHANGING:
        copy._deepcopy_dispatch[kind] = copy._deepcopy_atomic


def pack_at_once():
    swig_wiredtiger.pack = packing(swig_wiredtiger.pack)
    swig_wiredtiger.unpack = unpacking(swig_wiredtiger.unpack)
