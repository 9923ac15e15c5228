"""Start SecantusDB's server with a shorter transaction lifetime.

secantusd-py has no flag for it; the server's constructor has the parameter.
MongoDB gets the same limit through transactionLifetimeLimitSeconds: without
it a process killed inside a transaction blocks its documents for a minute.

usage: secantusd.py SECONDS [secantusd-py's own flags]
"""

import functools
import sys

from secantus import cli
from secantus.server import SecantusDBServer

if __name__ == "__main__":
    cli.SecantusDBServer = functools.partial(
        SecantusDBServer, transaction_lifetime_seconds=float(sys.argv[1])
    )
    sys.exit(cli.main(sys.argv[2:]))
