"""The tests of the manual can fail: pages with planted faults raise errors that say what and where; good ones run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.page import PageError
from tests.docs.run_page import Page, use_test_addresses
from tests.docs.shell import CommandError

SECONDS = 2.0
RunPage = Callable[[str], None]


@pytest.fixture
def run_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPage:
    """Run a page with this text in an empty folder; its commands have two seconds."""

    def run(text: str) -> None:
        tmp_path.joinpath("page.md").write_text(text)
        Page(tmp_path / "page.md", SECONDS).run()

    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path[:])
    return run


def is_alive(pid: int) -> bool:
    """Say whether this process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_python_block_that_raises_fails_with_the_line_of_the_page(run_page: RunPage) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        run_page("# Page\n\n```python\nx = 0\n```\n\n```python\n1 / x\n```\n")
    assert raised.value.__notes__ == ["in the block at page.md:8"]
    assert raised.traceback[-1].lineno == 7  # counted from 0


def test_await_that_raises_fails(run_page: RunPage) -> None:
    with pytest.raises(TimeoutError):
        run_page("```python\nimport asyncio\nasync with asyncio.timeout(0.01):\n    await asyncio.sleep(5)\n```\n")


def test_python_block_in_the_background_that_raises_fails(run_page: RunPage) -> None:
    with pytest.raises(ZeroDivisionError):
        run_page(
            "<!-- test: background -->\n```python\nimport asyncio\nawait asyncio.sleep(0)\n1 / 0\n```\n"
            "```python\nawait asyncio.sleep(0.05)\n```\n"
        )


def test_hidden_assertion_that_does_not_hold_fails(run_page: RunPage) -> None:
    with pytest.raises(AssertionError):
        run_page("```python\nx = 1\n```\n\n<!-- test: python\nassert x == 2\n-->\n")


@pytest.mark.parametrize("commands", ["exit 3", "false\ntrue", "false | true", "echo $missing", "no-such-program"])
def test_failing_command_fails_with_its_code_and_output(run_page: RunPage, commands: str) -> None:
    with pytest.raises(CommandError, match=r"(?s)^ended with [1-9].*seen before"):
        run_page(f"```sh\necho seen before\n{commands}\n```\n")


def test_command_that_does_not_end_fails(run_page: RunPage) -> None:
    with pytest.raises(CommandError, match=r"^did not end within 2 s"):
        run_page("```sh\nsleep 60\n```\n")


@pytest.mark.parametrize("instruction", ['background, wait for "ready"', 'stop after "ready"'])
@pytest.mark.parametrize("command", ["sleep 60", "true"])
def test_command_that_never_prints_what_is_waited_for_fails(run_page: RunPage, instruction: str, command: str) -> None:
    with pytest.raises(CommandError, match=r"^did not print 'ready'"):
        run_page(f"<!-- test: {instruction} -->\n```sh\necho not yet; {command}\n```\n")


def test_background_command_that_dies_fails(run_page: RunPage) -> None:
    with pytest.raises(CommandError, match=r"^ended with 3 in the background"):
        run_page(
            '<!-- test: background, wait for "ready" -->\n```sh\necho ready\nexit 3\n```\n\n```sh\nsleep 0.2\n```\n'
        )


@pytest.mark.parametrize("instruction", ['background, wait for "ready"', 'stop after "ready"'])
def test_command_that_ignores_ctrl_c_fails_and_is_killed(run_page: RunPage, instruction: str) -> None:
    code = "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    shown = "open('pid', 'w').write(str(os.getpid())); print('ready'); time.sleep(60)"
    with pytest.raises(CommandError, match=r"^did not end on Ctrl-C"):
        run_page(f'<!-- test: {instruction} -->\n```sh\npython -c "{code}; {shown}"\n```\n')
    assert not is_alive(int(Path("pid").read_text()))


def stop_program(program: str) -> str:
    """Return a page that runs this Python program and interrupts it."""
    return f'```python\n# wait.py\n{program}\n```\n\n<!-- test: stop after "ready" -->\n```sh\npython wait.py\n```\n'


def test_command_that_ends_with_the_traceback_of_an_error_fails(run_page: RunPage) -> None:
    program = "import time\ntry:\n    print('ready')\n    time.sleep(60)\nfinally:\n    1 / 0"
    with pytest.raises(CommandError, match=r"(?s)^ended with a traceback.*ZeroDivisionError"):
        run_page(stop_program(program))


def test_command_that_does_not_catch_ctrl_c_is_stopped(run_page: RunPage) -> None:
    run_page(stop_program("import time\nprint('ready')\ntime.sleep(60)"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```fortran\nSTOP\n```\n", "page.md:2: nothing runs a block of 'fortran'"),
        ("```\nsomething\n```\n", "page.md:2: nothing runs a block of ''"),
        ('<!-- test: stop after "x" -->\n\n# Next\n', "no block follows the instruction 'stop after \"x\"'"),
        ("<!-- test: background -->\n\n<!-- test: background -->\n\n```python\n1\n```\n", "no block follows"),
        ('<!-- test: stop after "x" -->\n```python\n1\n```\n', "is no instruction for this block"),
        ("<!-- test: background -->\n```python\n# shop.py\n```\n", "is no instruction for this block"),
        ("<!-- test: pyton\nassert False\n-->\n\n```json\n{}\n```\n", "is no instruction for this block"),
        ("<!--test: python\nassert False\n-->\n", "page.md:1: neither an instruction nor a marker"),
        ("<!-- tests: python\nassert False\n-->\n", "neither an instruction nor a marker"),
        ("<!-- test: terminate --> <!-- test: python\nassert False\n-->\n", "neither an instruction nor a marker"),
        ("<details>\n```sh\nfalse\n```\n</details>\n", "neither an instruction nor a marker"),
        ("A sentence <!-- test: python\nassert False\n-->\n", "HTML inside a paragraph is not read"),
        ("1. An item\n\n   <!--test: python\n   assert False\n   -->\n", "neither an instruction nor a marker"),
        ("A command:\n\n    false\n", "page.md:3: indented code is not run"),
        ("<!-- test: not run, x -->\n\nText.\n\n```sh\nfalse\n```\n", "page.md:3: no block follows"),
        ("```{code-block} sh\nfalse\n```\n", "nothing runs a block of '{code-block} sh'"),
        ("```{eval-rst}\n.. code-block:: sh\n\n   false\n```\n", "nothing runs a block of '{eval-rst}'"),
        ("```python\nraise SystemExit\n```\n\n```sh\nfalse\n```\n", "page.md:2: the page ends here"),
    ],
)
def test_page_that_cannot_be_run_fails_with_where_and_why(run_page: RunPage, text: str, problem: str) -> None:
    with pytest.raises(PageError) as raised:
        run_page(text)
    assert problem in str(raised.value)


def test_unknown_instruction_for_a_command_fails(run_page: RunPage) -> None:
    with pytest.raises(CommandError, match="no such instruction: 'wait'"):
        run_page("<!-- test: wait -->\n```sh\ntrue\n```\n")


@pytest.mark.parametrize(
    "commands",
    [
        "false || true",
        "false && true\ntrue",
        "! true\ntrue",
        "for i in 1 2; do\n  ! true\n  true\ndone",
        "exit\nfalse",
        "true; exit 0; false",
        "set +e\nfalse\ntrue",
        "trap 'exit 0' EXIT\nfalse",
    ],
)
def test_commands_that_would_hide_a_failure_are_refused(run_page: RunPage, commands: str) -> None:
    with pytest.raises(CommandError, match=r"(may|not run)"):
        run_page(f"```sh\n{commands}\n```\n")


@pytest.mark.parametrize("commands", ["true && true", "if false; then exit 1; fi", "true\ntrue && true\n"])
def test_commands_that_cannot_hide_a_failure_are_run(run_page: RunPage, commands: str) -> None:
    run_page(f"```sh\n{commands}\n```\n")


@pytest.mark.parametrize("instruction", ['background, wait for ""', 'stop after ""'])
def test_instruction_that_waits_for_nothing_fails(run_page: RunPage, instruction: str) -> None:
    with pytest.raises(CommandError, match="no such instruction"):
        run_page(f"<!-- test: {instruction} -->\n```sh\nsleep 60\n```\n")


def test_command_that_fails_after_what_it_prints_fails(run_page: RunPage) -> None:
    with pytest.raises(CommandError, match=r"^ended with 3"):
        run_page('<!-- test: stop after "port" -->\n```sh\necho cannot listen on the port\n(exit 3)\n```\n')


@pytest.mark.parametrize("before", ["- ", "1. ", "> "])
def test_block_inside_a_list_or_a_quote_is_run(run_page: RunPage, before: str) -> None:
    inside = "> " if before == "> " else " " * len(before)
    with pytest.raises(CommandError, match=r"^ended with 1"):
        run_page(f"{before}```sh\n{inside}false\n{inside}```\n")


def test_tables_may_stand_between_markers(run_page: RunPage) -> None:
    run_page("<!-- Generated: by `x`. -->\n\n<!-- tasks -->\n| a |\n|---|\n<!-- end -->\n")


@pytest.mark.parametrize(
    ("language", "code"), [("json", "{"), ("toml", "a ="), ("yaml", "a: b: c"), ("python", "def f(:")]
)
def test_block_that_is_not_well_formed_fails(run_page: RunPage, language: str, code: str) -> None:
    with pytest.raises((ValueError, SyntaxError, yaml.YAMLError)) as raised:
        run_page(f"```{language}\n{code}\n```\n")
    assert raised.value.__notes__ == ["in the block at page.md:2"]


def test_block_that_cannot_be_run_here_is_left_out(run_page: RunPage) -> None:
    run_page("<!-- test: not run, needs Docker -->\n```sh\nexit 3\n```\n")


def test_blocks_share_a_namespace_and_an_event_loop(run_page: RunPage) -> None:
    run_page(
        "```python\nimport asyncio\nloop = asyncio.get_running_loop()\nawait asyncio.sleep(0)\n```\n\n"
        "```python\nassert loop is asyncio.get_running_loop()\nawait asyncio.sleep(0)\n```\n"
    )


def test_python_block_in_the_background_runs_beside_the_next(run_page: RunPage) -> None:
    run_page(
        "<!-- test: background -->\n```python\nimport asyncio\nrounds = 0\nwhile True:\n    rounds += 1\n"
        "    await asyncio.sleep(0)\n```\n\n```python\nawait asyncio.sleep(0.05)\nassert rounds > 1\n```\n"
    )


def test_command_in_the_background_runs_until_the_end_of_the_page(run_page: RunPage) -> None:
    run_page(
        '<!-- test: background, wait for "ready" -->\n```sh\necho $$ > pid\necho ready\nexec sleep 60\n```\n\n'
        "```sh\nkill -0 $(cat pid)\n```\n"
    )
    assert not is_alive(int(Path("pid").read_text()))


def test_command_is_stopped_after_what_it_prints(run_page: RunPage) -> None:
    run_page(
        '<!-- test: stop after "ready" -->\n```sh\necho ready\nsleep 60\n```\n\n<!-- test: sh\ntouch reached\n-->\n'
    )
    assert Path("reached").exists()


def test_file_is_written_and_can_be_imported_and_run(run_page: RunPage) -> None:
    run_page(
        "```python\n# shop/orders.py\nnames = ['a']\n```\n\n```yaml\n# compose.yaml\nservices: {}\n```\n\n"
        "```python\nfrom shop.orders import names\nassert names == ['a']\n```\n\n"
        "```sh\npython shop/orders.py\ngrep -q services compose.yaml\n```\n"
    )


def test_commands_find_the_programs_of_this_python(run_page: RunPage) -> None:
    run_page("```sh\npython -c 'import sys; print(sys.prefix, end=\"\")' > prefix\nasyncdsm --version\n```\n")
    assert Path("prefix").read_text() == sys.prefix


def test_shown_block_is_not_run(run_page: RunPage) -> None:
    run_page("```text\nlocalhost is not run\n```\n")
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("code", "replaced"),
    [
        ("bootstrap_servers='localhost:9092'", "bootstrap_servers='127.0.0.1:5001'"),
        ("connect('amqp://localhost/')", "connect('amqp://guest:guest@127.0.0.1:5002/')"),
        ("redis://localhost:6379/0", "redis://127.0.0.1:5003/0"),
        ("http://127.0.0.1:8126/ and 81260", "http://127.0.0.1:5004/ and 81260"),
        (
            "asyncdsm agent\nasyncdsm agent --store x",
            "asyncdsm agent --port 5004\nasyncdsm agent --port 5004 --store x",
        ),
        ("asyncdsm map", "asyncdsm map --url http://127.0.0.1:5004"),
        ("asyncdsm agent --port 8126", "asyncdsm agent --port 5004"),
        ("uvicorn --port 8000", "uvicorn --port 5005"),
    ],
)
def test_usual_addresses_are_replaced(monkeypatch: pytest.MonkeyPatch, code: str, replaced: str) -> None:
    servers = {
        "TEST_KAFKA": "127.0.0.1:5001",
        "TEST_RABBITMQ": "amqp://guest:guest@127.0.0.1:5002",
        "TEST_REDIS": "127.0.0.1:5003",
        "TEST_AGENT_PORT": "5004",
        "TEST_HTTP_PORT": "5005",
    }
    for name, value in servers.items():
        monkeypatch.setenv(name, value)
    assert use_test_addresses(code) == replaced


def test_address_of_a_server_that_is_missing_fails(run_page: RunPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KAFKA", raising=False)
    with pytest.raises(PageError, match="localhost:9092 needs TEST_KAFKA"):
        run_page("```sh\necho localhost:9092\n```\n")
