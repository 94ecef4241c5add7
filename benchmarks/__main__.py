"""``python -m benchmarks``: the one measurement there is."""

from benchmarks.route import main

raise SystemExit(main())
