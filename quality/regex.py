"""Regular expressions that mean the same to Python, for whom suites are written, and to Rust, who runs them."""

from __future__ import annotations

import re
import warnings
from functools import cache

import polars as pl

Sentence = tuple[str, str]
_FLAGS = re.compile(r"\(\?[a-zA-Z]*[amLsux-]")


def rust(pattern: str) -> str:
    """The pattern as Rust's engine must be given it.

    ``$`` also matches before a last line feed in Python, ``\\Z`` is ``\\z``, and ``\\s`` holds four more
    separators. ``\\w`` differs by some combining marks; nothing else in what ``problem`` lets through.
    """
    out: list[str] = []
    inside = False
    i = 0
    while i < len(pattern):
        two = pattern[i : i + 2]
        if two[0] == "\\" and len(two) == 2:
            spaces = r"\s\x1c-\x1f"
            special = {r"\Z": r"\z", r"\s": spaces if inside else f"[{spaces}]", r"\S": f"[^{spaces}]"}
            out.append(two if inside and two == r"\S" else special.get(two, two))
            i += 2
            continue
        if inside:
            inside = two[0] != "]"
        elif two[0] == "[":
            inside = True
            start = re.match(r"\[\^?\]?", pattern[i:])
            first = start.group() if start else "["
            out.append(first.replace("]", r"\]"))
            i += len(first)
            continue
        swap = {"[": r"\["} if inside else {"$": r"(?:\n?\z)"}
        out.append(swap.get(two[0], two[0]))
        i += 1
    return "".join(out)


def problem(pattern: str) -> Sentence | None:
    """(Chinese, English) where the pattern cannot be used, or would not mean the same to both engines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, RecursionError) as error:
        return (f"正则表达式 {pattern} 写法有误: {error}", f"regular expression {pattern} is wrong: {error}")
    if _FLAGS.search(pattern):
        return (
            f"正则表达式 {pattern} 只能带 (?i) 标志",
            f"regular expression {pattern}: (?i) is the only flag",
        )
    if re.search(r"\[[^\]]*\\S", pattern):
        return (
            f"正则表达式 {pattern} 的方括号内不能用 \\S",
            f"regular expression {pattern}: no \\S in brackets",
        )
    try:
        pl.Series([""]).str.contains(rust(pattern))
    except pl.exceptions.PolarsError:
        return (f"正则表达式 {pattern} 用了执行引擎不支持的写法(如环视、反向引用)",
                f"regular expression {pattern} uses what the engine cannot do (look-around, back-reference)")  # fmt: skip
    return None


@cache
def only_python(pattern: str) -> bool:
    """Whether Python compiles the pattern and our engine does not, or would read it otherwise."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return problem(pattern) is not None
