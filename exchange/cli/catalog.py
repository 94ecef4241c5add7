"""The commands of ``leishu catalog``. Parsing alone."""

from __future__ import annotations

from exchange.cli.frame import group

catalog = group(
    "共享目录: 导入, 导出, 检查, 比较, 清单", "the sharing catalog: import, export, check, compare, lists"
)
