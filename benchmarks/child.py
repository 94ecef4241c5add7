"""The hub's own process: collect, then share, each half measured. Prints JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.home import COLLECT, SHARE
from benchmarks.measure import forget_peak, measured, peak_mib
from exchange.hub import Hub
from exchange.settings import Settings


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("home", type=Path)
    options.add_argument("--postmaster", type=int)
    given = options.parse_args()
    steps: dict[str, dict[str, float]] = {}
    with Hub.open(Settings(home=given.home, url=os.environ["LEISHU_DATABASE_URL"])) as hub:
        problems = hub.problems()
        if problems:
            print("\n".join(map(str, problems)), file=sys.stderr)
            return 2
        hub.init()

        def step(name: str, work: Callable[[list[str]], Any], route: str) -> Any:
            forget_peak()
            with measured(given.postmaster) as cost:
                result = work([route])
            cost.peak_mib = peak_mib()
            steps[name] = cost.to_dict()
            print(f"  {name}: {cost.wall:.1f} s, {cost.peak_mib:.0f} MiB", file=sys.stderr)
            return result

        step("fetch", hub.fetch, COLLECT)
        collected = step("close", hub.close, COLLECT)
        shared: dict[str, int] = {}
        number = 0
        while step(f"prepare {number}" if number else "prepare", hub.prepare, SHARE):
            counts = step(f"deliver {number}" if number else "deliver", hub.deliver, SHARE)
            for name, n in counts[SHARE].items():
                shared[name] = shared.get(name, 0) + n
            number += 1
    json.dump({"steps": steps, "collect": collected[COLLECT], "share": shared}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
