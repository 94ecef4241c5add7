"""``python -m demo``: start everything, let the schedules run, show what happened; ``--stop`` ends it."""

from __future__ import annotations

import argparse
import sys

from catalog.errors import LeishuError


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000, help="records of all platforms together")
    parser.add_argument("--stop", action="store_true", help="end every process of the demonstration")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds to wait for an act to settle")
    given = parser.parse_args()
    from demo import run

    try:
        return run.stop() if given.stop else run.demo(given.records, given.timeout)
    except LeishuError as error:
        print(str(error), file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("已中断; make stop 停止全部进程 / interrupted: make stop ends the processes", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
