"""What is printed where there is no terminal."""

from rich.console import Console

from cli.placements.placement import Placement
from cli.placements.states import NOT_DEPLOYED, NOT_LIVE
from cli.placements.table import print_placements
from cli.table import console, plain_table, print_json, print_text

ROW = Placement("iris", "1", "local-docker", endpoint="http://127.0.0.1:8890", state="ready")


def test_each_row_is_one_line_however_long_without_colours(capsys):
    long = Placement("m" * 63, "v" * 60, "local-docker", endpoint="http://127.0.0.1:8891", state="busy", reload=True)
    print_placements([ROW, long], "dev")
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["MODEL", "VERSION", "TARGET", "STATE", "ENDPOINT"]
    assert rows[0].split() == ["iris", "1", "local-docker", "ready", "http://127.0.0.1:8890"]
    assert rows[1].split()[:5] == [long.model, long.version, "local-docker", "busy", "http://127.0.0.1:8891"]
    assert "reload" in rows[1]
    assert "\x1b" not in "".join([header, *rows])


def test_why_a_model_does_not_serve_stands_below_the_table(capsys):
    failed = Placement("iris", "1", "local-docker", state="failed", error="Traceback\n  [bold]boom[/bold]\n")
    edited = Placement("digits", "1", "local-docker", state="ready", reload_error="SyntaxError: line 3")
    print_placements([failed, edited], "dev")
    text = capsys.readouterr().out
    assert "iris failed:\nTraceback\n  [bold]boom[/bold]\n" in text
    assert "digits: the latest edit was not taken over" in text
    assert "SyntaxError: line 3" in text


def test_a_failed_edit_stands_beside_the_state(capsys):
    print_placements(
        [Placement("digits", "1", "local-docker", state="ready", reload=True, reload_error="line 3")], "dev"
    )
    row = capsys.readouterr().out.splitlines()[1]
    assert "ready, edit failed" in row
    assert "edits of its script are live" not in row


def test_what_is_wanted_and_not_there_says_why(capsys):
    rows = [Placement("iris", "1", "aks", state=NOT_LIVE), Placement("iris", "1", "local-docker", state=NOT_DEPLOYED)]
    print_placements(rows, "dev")
    _, aks, local = capsys.readouterr().out.splitlines()
    assert "not live here" in aks
    assert "slipway:targets" in aks
    assert "not deployed" in local
    assert "`slipway up` deploys it" in local


def test_what_somebody_took_away_is_named_with_the_way_back(capsys):
    gone = Placement("iris", "1", "local-docker", state="missing")
    print_placements([gone], "dev")
    assert "iris. Restore with: slipway up --stack dev -- --refresh" in capsys.readouterr().out
    print_placements([ROW], "dev")
    assert "--refresh" not in capsys.readouterr().out


def test_how_far_a_canary_has_come_stands_below_the_table(capsys):
    canary = {"version": "2", "percent": 10, "by": "replicas", "phase": "running"}
    print_placements([Placement("iris", "2", "aks", state="ready", canary=canary)], "dev")
    assert "iris: version 2 is a canary with 10 % of the requests." in capsys.readouterr().out
    print_placements([Placement("iris", "2", "aks", state="ready", canary={**canary, "phase": "finished"})], "dev")
    assert "remove `canary` from its entry" in capsys.readouterr().out
    aborted = {**canary, "percent": 0, "phase": "aborted"}
    print_placements([Placement("iris", "2", "aks", state="rolled back", error="it failed", canary=aborted)], "dev")
    assert "is a canary with" not in capsys.readouterr().out


def test_where_a_terminal_is_narrow_only_the_last_column_takes_several_lines(capsys):
    table = plain_table("KEY", "VALUE")
    table.add_row("one two", 30 * "x")
    Console(width=22).print(table)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "KEY       VALUE",
        f"one two   {12 * 'x'}",
        f"          {12 * 'x'}",
        f"          {6 * 'x'}",
    ]


def test_a_table_of_keys_and_values_has_no_headings(capsys):
    table = plain_table("KEY", "VALUE", header=False)
    table.add_row("one", "1")
    console().print(table)
    assert capsys.readouterr().out.split() == ["one", "1"]


def test_an_answer_is_readable_json_and_a_text_is_itself(capsys):
    print_text({"label": "Größe", "scores": [1]})
    assert capsys.readouterr().out == '{\n  "label": "Größe",\n  "scores": [\n    1\n  ]\n}\n'
    print_text("[not] markup " + 200 * "x")
    assert capsys.readouterr().out == "[not] markup " + 200 * "x" + "\n"


def test_json_for_programs_is_json(capsys):
    print_json(["ä"])
    assert capsys.readouterr().out == '[\n  "ä"\n]\n'
