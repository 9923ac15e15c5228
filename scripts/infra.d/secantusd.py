"""Start SecantusDB's server so that it ends the transactions of dead clients.

secantusd-py has no flag for their lifetime; the server's constructor has the
parameter. MongoDB gets the same limit through transactionLifetimeLimitSeconds:
without it a process killed inside a transaction blocks its documents for a
minute.

The server looks for such transactions only when another one comes by, and a
drop of what one of them has changed waits for it while holding the lock that
ending it needs: nothing moves ever again. So here somebody looks every second,
and a drop first waits for the transactions that are open.

With every write it also goes through what it remembers of the writes of half an
hour, and sorts that when it is more than ten thousand: each write then takes
milliseconds in which nothing else runs. What it remembers is in the order of
time, so here only the oldest are looked at.

usage: secantusd.py SECONDS [secantusd-py's own flags]
"""

import sys
import threading
import time

from secantus import cli, transactions
from secantus.server import SecantusDBServer
from secantus.transactions import TxnState


class Server(SecantusDBServer):
    def __init__(self, *args, **flags):
        super().__init__(*args, transaction_lifetime_seconds=float(sys.argv[1]), **flags)
        for name in ("drop_database", "drop_collection"):
            setattr(self.storage, name, self.patient(getattr(self.storage, name)))
        self.transactions._prune_retryable_locked = self.forget_oldest
        threading.Thread(target=self.reap, daemon=True).start()

    def reap(self):
        while True:
            time.sleep(1)
            self.transactions.prune_expired()

    def forget_oldest(self):
        known = self.transactions._retryable
        cutoff = self.transactions._time() - transactions._RETRYABLE_RECORD_LIFETIME_SECONDS
        while known:
            oldest = next(iter(known))
            if len(known) <= transactions._RETRYABLE_RECORD_MAX and known[oldest][1] >= cutoff:
                break
            known.pop(oldest)

    def patient(self, drop):
        def wait_and_drop(*names):
            open_now = list(self.transactions._txns.values())
            while any(t.state is TxnState.IN_PROGRESS for t in open_now):
                time.sleep(0.02)
            return drop(*names)

        return wait_and_drop


if __name__ == "__main__":
    cli.SecantusDBServer = Server
    sys.exit(cli.main(sys.argv[2:]))
