"""``python -m demo.insert PLATFORM``: enter a new key unit there, as its own clerk would."""

from __future__ import annotations

import argparse
import sys

from catalog.errors import say
from demo import acts
from demo.handles import PLATFORMS, Handles
from exchange.settings import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo.insert", description=__doc__)
    parser.add_argument("platform", choices=[p for p in PLATFORMS if p != "national"])
    given = parser.parse_args()
    try:
        handles = Handles.read(Settings.read().var / "platforms")
    except FileNotFoundError:
        print(
            say("示范没有启动: 先执行 make demo", "the demonstration does not run: make demo"),
            file=sys.stderr,
        )
        return 3
    made = acts.insert_record(handles, given.platform)
    print(made.business_key)
    print(say(f"稍候片刻, 再执行: .venv/bin/leishu trace {made.business_key}",
              f"in a while: .venv/bin/leishu trace {made.business_key}"), file=sys.stderr)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
