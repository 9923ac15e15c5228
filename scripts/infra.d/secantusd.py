"""Start SecantusDB's server so that it ends the transactions of dead clients.

secantusd-py has no flag for their lifetime; the server's constructor has the
parameter. MongoDB gets the same limit through transactionLifetimeLimitSeconds:
without it a process killed inside a transaction blocks its documents for a
minute.

The server looks for such transactions only when another one comes by, and a
drop of what one of them has changed waits for it while holding the lock that
ending it needs: nothing moves ever again. So here somebody looks every second,
and a drop first waits for the transactions that are open.

usage: secantusd.py SECONDS [secantusd-py's own flags]
"""

import sys
import threading
import time

from secantus import cli
from secantus.server import SecantusDBServer
from secantus.transactions import TxnState


class Server(SecantusDBServer):
    def __init__(self, *args, **flags):
        super().__init__(*args, transaction_lifetime_seconds=float(sys.argv[1]), **flags)
        for name in ("drop_database", "drop_collection"):
            setattr(self.storage, name, self.patient(getattr(self.storage, name)))
        threading.Thread(target=self.reap, daemon=True).start()

    def reap(self):
        while True:
            time.sleep(1)
            self.transactions.prune_expired()

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
