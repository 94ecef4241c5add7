"""One process of the command line: its streams, its errors as sentences, its exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from typer.exceptions import Abort, TyperException

from catalog.errors import LeishuError, say
from exchange.cli.streams import quieten, tell
from exchange.cli.task import Answer, Code, Task, WrongUse, code_of

_WRONG = {
    "No such command": "没有命令",
    "No such option:": "没有选项",
    "Missing argument": "缺少参数",
    "Missing option": "缺少选项",
    "Invalid value for": "取值不对:",
    "Invalid value:": "取值不对:",
    "Got unexpected extra argument(s)": "多出参数",
    "Got unexpected extra arguments": "多出参数",
    "Got unexpected extra argument": "多出参数",
    "requires an argument": "要带一个值",
    "Option ": "选项 ",
    "Did you mean": "是不是",
    "Possible options:": "可能是:",
}


def run(arguments: Sequence[str] | None) -> int:
    """Parse, carry out, print; the exit code. Never raises but for SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Chinese shows marks instead
    name = ""
    try:
        task = _parsed(arguments)
        if not isinstance(task, Task):
            return task
        name = task.name
        return _printed(task, task.work())
    except KeyboardInterrupt:
        tell(say("已中断; 重新执行会从停下的地方继续", "interrupted; run it again and it goes on from there"))
        return Code.INTERRUPTED
    except (LeishuError, WrongUse) as error:
        tell(str(error))
        return Code.USE if isinstance(error, WrongUse) else code_of(error)
    except Exception as error:
        return _fault(name, error)


def _parsed(arguments: Sequence[str] | None) -> Task | int:
    """The task, or an exit code where help or a wrong use was all there was."""
    from exchange.cli.app import app

    try:
        made = typer.main.get_command(app).main(args=arguments, prog_name="leishu", standalone_mode=False)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{error.message}\n")
        else:
            tell(_wrong(error.format_message().rstrip(".")))
        return Code.USE
    except Abort:
        return Code.INTERRUPTED
    return made if isinstance(made, Task | int) else Code.DONE


def _wrong(words: str) -> str:
    """Typer's words for a wrong use, in the language of this process, and where to read on."""
    for en, zh in _WRONG.items():
        words = words.replace(en, say(zh, en))
    return say(f"用法不对: {words}; 执行 leishu --help 看用法", f"wrong use: {words}; see leishu --help")


def _printed(task: Task, answer: Answer) -> int:
    """Print the answer. A reader who went away does not change the exit code."""
    from exchange.cli import display

    try:
        if task.json:
            display.as_json(answer.output)
        else:
            display.as_tables(answer.sheets)
        sys.stdout.flush()
    except BrokenPipeError:
        quieten(sys.stdout)
    for words in answer.words:
        tell(words)
    return answer.code


def _fault(name: str, error: Exception) -> int:
    """Say which kind of error it was and where it is written down; its text may hold values."""
    log = _write_down(name, error)
    kind = type(error).__name__
    tell(say(
        f"程序出错 ({kind}), 经过写在 {log}; 请把它交给维护人员",
        f"the program failed ({kind}); where it did is written in {log}: hand it to those who maintain it",
    ))  # fmt: skip
    return Code.FAULT


def _write_down(name: str, error: Exception) -> Path:
    """Append the frames of the error and of those behind it: places and kinds, never their texts."""
    from exchange.cli.opening import var_in_use

    lines = [f"{datetime.now(UTC).isoformat(timespec='seconds')} leishu {name}\n"]
    seen: BaseException | None = error
    while seen is not None:
        lines += [
            f"{type(seen).__module__}.{type(seen).__qualname__}\n",
            *traceback.format_tb(seen.__traceback__),
        ]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    for folder in (var_in_use() / "log", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "leishu.log").open("a", encoding="utf-8") as log:
                log.writelines(lines)
        except OSError:
            continue
        return folder / "leishu.log"
    return Path(os.devnull)
