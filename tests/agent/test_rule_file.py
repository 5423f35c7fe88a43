"""A file of rules: what each field may be, and errors that name file, rule and field, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdsm.agent.alerts import rule_file
from asyncdsm.agent.alerts.rule_file import parse_rules, read_rules
from asyncdsm.agent.alerts.rules import Rule, describe_rule
from asyncdsm.errors import RulesError

LAG = '[[rule]]\nname = "late"\nwhen = "lag"\nabove = 10\n'
QUIET = '[[rule]]\nname = "still"\nwhen = "quiet"\nfor = "5 min"\n'


def problems(text: str) -> list[str]:
    """Return what is wrong with the text of a file, without the file's name before each line."""
    with pytest.raises(RulesError) as caught:
        parse_rules(text, "rules.toml")
    lines = str(caught.value).splitlines()
    assert lines == [f"rules.toml: {problem}" for problem in caught.value.problems]
    return caught.value.problems


def test_rule_with_every_field_is_read() -> None:
    text = """
        webhook = "https://hooks.example/all"
        [[rule]]
        name = "billing falls behind"
        when = "lag"
        group = "billing"
        queue = "orders*"
        cluster = ""
        above = "60 s"
        for = "2 min"
        severity = "critical"
        [[rule]]
        name = "orders wait"
        when = "time in queue"
        quantile = "p50"
        service = "*"
        env = "prod"
        type = "kafka"
        above = "500 ms"
        webhook = "http://127.0.0.1:9000/?to=team"
    """
    assert parse_rules(text, "rules.toml") == [
        Rule(
            name="billing falls behind",
            when="lag",
            above=60.0,
            for_seconds=120.0,
            severity="critical",
            where=(("queue", "orders*"), ("group", "billing"), ("cluster", "")),
            webhook="https://hooks.example/all",
        ),
        Rule(
            name="orders wait",
            when="time in queue",
            above=0.5,
            quantile="p50",
            where=(("service", "*"), ("env", "prod"), ("type", "kafka")),
            webhook="http://127.0.0.1:9000/?to=team",
        ),
    ]


@pytest.mark.parametrize(
    ("fields", "described"),
    [
        ('when = "lag"\nabove = 1', "lag above 1 message"),
        ('when = "lag"\nabove = 1_000\nfor = "90 s"\ngroup = "b*"', "lag above 1000 messages for 90 s, group b*"),
        ('when = "time in queue"\nabove = "1.5 s"', "p99 of the time in queue above 1.5 s"),
        ('when = "time in service"\nabove = "1 min"\nquantile = "max"', "max of the time in service above 60 s"),
        ('when = "end to end"\nabove = "2h"\nquantile = "p50"', "p50 end to end above 2 h"),
        ('when = "quiet"\nfor = "30 min"\nqueue = "orders"', "no messages for 30 min, queue orders"),
        ('when = "missing"\nfor = "90 s"\nservice = "billing"', "no report for 90 s, service billing"),
        ('when = "dead letters"\nabove = 0\nfor = "1 min"', "dead letters above 0 messages for 60 s"),
        ('when = "dead letters"\nabove = "0.5%"\nqueue = "o*"', "dead letters above 0.5 %, queue o*"),
        ('when = "redelivered"\nabove = "33.3 %"', "redelivered above 33.3 %"),
        ('when = "redelivered"\nabove = "5 %"\ngroup = "b"', "redelivered above 5 %, group b"),
        ('when = "unread"\nfor = "1 h"\nqueue = "mails"', "not read for 60 min, queue mails"),
    ],
)
def test_rule_is_described_in_the_words_of_the_product(fields: str, described: str) -> None:
    (rule,) = parse_rules(f'[[rule]]\nname = "r"\n{fields}\n', "rules.toml")
    assert describe_rule(rule) == described


CONDITIONS = (
    '"lag", "time in queue", "time in service", "end to end", "dead letters", "redelivered", "unread", "quiet", '
    '"missing"'
)
SHARE = 'a share such as "5 %", below "100 %"'
DURATION = 'a duration such as "500 ms", "60 s", "5 min" or "1 h"'
WRONG = {
    "no name": (
        LAG.replace('name = "late"\n', ""),
        "rule 1: name must be a string of 1 to 100 printable characters; it is missing",
    ),
    "a name with a line break": (
        LAG.replace("late", "a\\nb"),
        'rule 1: name must be a string of 1 to 100 printable characters, got "a�b"',
    ),
    "no condition": (
        '[[rule]]\nname = "late"\n',
        f'rule 1 ("late"): when must be one of {CONDITIONS}; it is missing',
    ),
    "an unknown condition": (
        LAG.replace('"lag"', '"slow"'),
        f'rule 1 ("late"): when must be one of {CONDITIONS}, got "slow"',
    ),
    "no limit": (
        LAG.replace("above = 10\n", ""),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages; it is missing',
    ),
    "a limit without a unit": (
        LAG.replace("10", '"10"'),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages, got "10"',
    ),
    "a limit with a digit of another script": (
        LAG.replace("10", '"३ s"'),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages, got "३ s"',
    ),
    "a time with a digit of another script": (
        LAG + 'for = "३ min"\n',
        f'rule 1 ("late"): for must be {DURATION}, from "0 min" to "12 h", got "३ min"',
    ),
    "a limit that is no number": (
        LAG.replace("10", "nan"),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages, got nan',
    ),
    "a limit that is true": (
        LAG.replace("10", "true"),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages, got true',
    ),
    "messages for a latency": (
        LAG.replace('"lag"', '"end to end"'),
        f'rule 1 ("late"): above must be {DURATION}, got 10',
    ),
    "a negative time": (
        LAG + 'for = "-1 min"\n',
        f'rule 1 ("late"): for must be {DURATION}, from "0 min" to "12 h", got "-1 min"',
    ),
    "a time that is too long": (
        LAG + 'for = "13 h"\n',
        f'rule 1 ("late"): for must be {DURATION}, from "0 min" to "12 h", got "13 h"',
    ),
    "a silence without a time": (
        QUIET.replace('for = "5 min"\n', ""),
        f'rule 1 ("still"): for must be {DURATION}, from "1 min" to "12 h"; it is missing',
    ),
    "a silence that is too short": (
        QUIET.replace("5 min", "59 s"),
        f'rule 1 ("still"): for must be {DURATION}, from "1 min" to "12 h", got "59 s"',
    ),
    "a silence with a limit": (
        QUIET + "above = 1\n",
        'rule 1 ("still"): above does not apply to when = "quiet": for says how long it may last',
    ),
    "a quantile of a lag": (
        LAG + 'quantile = "p99"\n',
        'rule 1 ("late"): quantile does not apply to when = "lag", only to latencies',
    ),
    "a share that is everything": (
        LAG.replace('"lag"', '"redelivered"').replace("10", '"100 %"'),
        f'rule 1 ("late"): above must be {SHARE}, or a number of messages, got "100 %"',
    ),
    "a share without a unit": (
        LAG.replace('"lag"', '"dead letters"').replace("10", '"5"'),
        f'rule 1 ("late"): above must be {SHARE}, or a number of messages, got "5"',
    ),
    "a negative share": (
        LAG.replace('"lag"', '"dead letters"').replace("10", '"-5 %"'),
        f'rule 1 ("late"): above must be {SHARE}, or a number of messages, got "-5 %"',
    ),
    "a share of a duration": (
        LAG.replace('"lag"', '"dead letters"').replace("10", '"5 s"'),
        f'rule 1 ("late"): above must be {SHARE}, or a number of messages, got "5 s"',
    ),
    "a share of a lag": (
        LAG.replace("10", '"5 %"'),
        f'rule 1 ("late"): above must be {DURATION}, or a number of messages, got "5 %"',
    ),
    "no share": (
        LAG.replace('"lag"', '"redelivered"').replace("above = 10\n", ""),
        f'rule 1 ("late"): above must be {SHARE}, or a number of messages; it is missing',
    ),
    "a quantile of a share": (
        LAG.replace('"lag"', '"redelivered"') + 'quantile = "p99"\n',
        'rule 1 ("late"): quantile does not apply to when = "redelivered", only to latencies',
    ),
    "an unread queue with a limit": (
        QUIET.replace("quiet", "unread") + "above = 1\n",
        'rule 1 ("still"): above does not apply to when = "unread": for says how long it may last',
    ),
    "a queue that is unread for longer than is known": (
        QUIET.replace("quiet", "unread").replace("5 min", "61 min"),
        f'rule 1 ("still"): for must be {DURATION}, from "1 min" to "1 h", got "61 min"',
    ),
    "a service that does not read": (
        QUIET.replace("quiet", "unread") + 'service = "billing"\n',
        'rule 1 ("still"): service does not apply to when = "unread", which takes queue, type, cluster',
    ),
    "an unknown quantile": (
        LAG.replace('"lag"', '"end to end"').replace("10", '"1 s"') + 'quantile = "p90"\n',
        'rule 1 ("late"): quantile must be one of "p50", "p95", "p99", "max", got "p90"',
    ),
    "an unknown severity": (
        LAG + 'severity = "fatal"\n',
        'rule 1 ("late"): severity must be one of "critical", "warning", got "fatal"',
    ),
    "a place that does not apply": (
        LAG + 'service = "billing"\n',
        'rule 1 ("late"): service does not apply to when = "lag", which takes group, queue, cluster',
    ),
    "a place that is no name": (
        LAG + "group = 7\n",
        'rule 1 ("late"): group must be a name, in which * stands for any characters, of at most 300 characters, got 7',
    ),
    "an unknown field": (
        LAG + 'topic = "orders"\n',
        'rule 1 ("late"): "topic" is unknown; allowed are name, when, above, quantile, for, severity, webhook, '
        "group, queue, cluster",
    ),
    "an unknown field of the file": (
        'hook = "x"\n' + LAG,
        '"hook" is unknown; allowed are webhook and [[rule]]',
    ),
    "one table instead of a list": ('[rule]\nname = "late"\n', "rule must be written as [[rule]], once for each rule"),
    "the same name twice": (LAG + LAG, 'rules 1 and 2 have the same name, "late"'),
    "no rule": ('webhook = "https://hooks.example"\n', "there is no [[rule]]"),
    "no TOML": ("[[rule]\n", 'not valid TOML: Expected "]]" at the end of an array declaration (at line 1, column 7)'),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG.keys())
def test_error_names_rule_and_field_and_what_is_allowed(text: str, problem: str) -> None:
    if problem.startswith("not valid TOML"):  # the parser's wording is Python's
        (found,) = problems(text)
        assert found.startswith("not valid TOML: ")
    else:
        assert problems(text) == [problem]


def test_all_errors_of_a_file_are_reported_at_once() -> None:
    text = f'webhook = 1\n{LAG.replace("10", "-1")}{QUIET.replace("quiet", "gone")}color = "red"\n'
    assert [problem.partition(" must")[0].partition(" is unknown")[0] for problem in problems(text)] == [
        "webhook",
        'rule 1 ("late"): above',
        'rule 2 ("still"): when',
        'rule 2 ("still"): "color"',
    ]


def test_list_of_errors_is_bounded() -> None:
    text = "".join(f'[[rule]]\nname = "r{number}"\nwhen = "lag"\n' for number in range(60))
    assert len(problems(text)) == 51
    assert problems(text)[-1] == "and 10 more"
    many = "".join(LAG.replace("late", f"r{number}") for number in range(201))
    assert problems(many) == ["there must be at most 200 rules, got 201"]


@pytest.mark.parametrize(
    "url", ["ftp://hooks.example/hush", "hush", "https://", "https://h/#hush", "http://h:0/hush", "http://h /hush", 7]
)
def test_error_of_a_webhook_does_not_show_it(url: object) -> None:
    value = f'"{url}"' if isinstance(url, str) else url
    expected = "webhook must be an http:// or https:// URL of a host"
    assert problems(f"webhook = {value}\n{LAG}") == [expected]
    assert problems(f"{LAG}webhook = {value}\n") == [f'rule 1 ("late"): {expected}']


def test_representation_of_a_rule_does_not_show_its_webhook() -> None:
    (rule,) = parse_rules('webhook = "https://hooks.example/hush"\n' + LAG, "rules.toml")
    assert rule.webhook == "https://hooks.example/hush"
    assert "hush" not in repr(rule)


def test_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rules.toml"
    with pytest.raises(RulesError) as caught:
        read_rules(path)
    assert str(caught.value) == f"{path}: No such file or directory"
    path.write_bytes(b"\xff")
    with pytest.raises(RulesError, match="the file must be text in UTF-8"):
        read_rules(path)
    path.write_text(LAG)
    assert [rule.name for rule in read_rules(path)] == ["late"]
    monkeypatch.setattr(rule_file, "MOST_BYTES", 10)
    with pytest.raises(RulesError, match="the file must have at most 10 bytes"):
        read_rules(path)
