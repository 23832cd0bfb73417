"""What a comment shows: the summary first, never too long, and nothing of anybody's text as Markdown or HTML."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.changes import MOST_FILES, Change, ModelChange, Preview, UnreadableError, read_previews
from pipelines.markdown import LIMIT, PREVIEW_MARKER, code, comment, drift_issue, drift_marker

RUN = "https://github.example.com/run/1"
ACTIONS = ["created", "updated", "replaced", "deleted", "unchanged"]
# What GitHub allows, in characters.
GITHUB_LIMIT = 65_536


def _comment(*previews, **options):
    return comment(previews, commit="c" * 40, run=RUN, **options)


def _many(models, stack="dev", reason="memory 256 → 300"):
    changes = [
        Change(model=f"model-{number:04}", target=target, action=ACTIONS[number % 5], reasons=[reason] * 5)
        for number in range(models)
        for target in ("image", "aks", "batch")
    ]
    return Preview(stack=stack, changes=changes)


def test_the_marker_and_the_summary_come_first():
    preview = Preview(
        stack="dev",
        changes=[
            Change(model="iris", target="aks", action="replaced", reasons=["its image"], restarts=True),
            Change(model="iris", target="image", action="updated"),
            Change(model="digits", target="aks", action="unchanged"),
        ],
    )
    lines = _comment(preview).splitlines()
    assert lines[0] == PREVIEW_MARKER
    assert lines[3] == "**`dev`**: 1 replaced · 1 updated · 1 unchanged  "
    assert lines[4] == "Restarts: `iris`"


def test_an_unchanged_stack_is_one_line():
    text = _comment(Preview(stack="dev", changes=[Change(model="iris", target="aks", action="unchanged")]))
    assert "1 unchanged; nothing changes" in text
    assert "| What" not in text


def test_versions_and_sizes_are_shown_where_they_are_known():
    change = Change(model="iris", target="image", action="updated")
    sizes = ModelChange(was="1", becomes="2", size_was=10_000_000, size_becomes=12_500_000)
    assert "| `1` → `2` |  | 10.0 MB → 12.5 MB (+2.5 MB) |" in _comment(
        Preview(stack="dev", changes=[change], models={"iris": sizes})
    )
    unbuilt = ModelChange(was="1", becomes="1", size_was=10_000_000)
    text = _comment(Preview(stack="dev", changes=[change], models={"iris": unbuilt}))
    assert "| `1` |  | 10.0 MB → known once built |" in text


@pytest.mark.parametrize("stacks", [1, 3])
def test_500_models_stay_below_the_limit_and_what_is_left_out_is_told(stacks):
    text = _comment(*(_many(500, f"s{number}", "ü" * 200) for number in range(stacks)))
    assert len(text) < GITHUB_LIMIT
    assert len(text.encode()) <= LIMIT
    assert text.count("left out for a comment's length") == stacks
    shown = text.count("| **deleted** |")
    assert shown
    # What takes away comes first; what is left out is counted whole.
    left = re.findall(r"… and ([\d,]+) more changes", text)
    assert (
        len(re.findall(r"^\| \**(?:deleted|replaced)", text, re.MULTILINE))
        + sum(int(one.replace(",", "")) for one in left)
        == stacks * 1200
    )
    assert text.endswith(f"[run]({RUN})</sub>\n")


def test_500_short_rows_are_all_shown_where_they_fit():
    preview = Preview(
        stack="dev", changes=[Change(model=f"m{number}", target="aks", action="updated") for number in range(500)]
    )
    text = _comment(preview)
    assert "left out" not in text
    assert text.count("| updated |") == 500


def test_many_restarts_are_counted():
    changes = [Change(model=f"m{number:03}", target="aks", action="replaced", restarts=True) for number in range(500)]
    assert "and 480 more" in _comment(Preview(stack="dev", changes=changes)).splitlines()[4]


def test_a_long_error_is_cut_and_the_comment_stays_whole():
    preview = Preview(stack="dev", failed=["x" * 1000] * 100)
    text = _comment(preview, Preview(stack="prod", failed=["why"]))
    assert len(text.encode()) <= LIMIT
    assert text.count("```") == 4
    assert "why" in text


NASTY = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [
            "`</code><script>alert(1)</script>",
            "a | b | <img src=x>",
            "\\`<b>\\|",
            "```\n# heading\n<details>",
            "@everyone #1 https://evil.example.com",
            "![x](https://evil.example.com/pixel)",
            "\u202etxt.exe",
            "<!-- slipway:preview -->",
        ]
    ),
)


@given(NASTY)
def test_a_text_is_one_code_span_that_nothing_in_it_can_end(text):
    span = code(text)
    assert span == "" or re.fullmatch(r"`[^`|\\\n\r]+`", span)
    assert all(one.isprintable() for one in span)


@given(NASTY, NASTY)
def test_no_text_becomes_markdown_or_html(reason, error):
    text = _comment(
        Preview(
            stack="dev",
            changes=[Change(model="iris", target="aks", action="updated", reasons=[reason])],
            models={"iris": ModelChange(was=reason, becomes=error)},
        ),
        Preview(stack="prod", failed=[error, reason]),
    )
    empty = _comment(
        Preview(stack="dev", changes=[Change(model="iris", target="aks", action="updated", reasons=["r"])]),
        Preview(stack="prod", failed=["e"]),
    )

    def outside(body):
        spans = re.sub(r"```text\n[^`]*\n```", "BLOCK", body)
        return re.sub(r"[ ,→]+", " ", re.sub(r"`[^`\n]*`", "", spans))

    # All that is left is ours, the same as with harmless texts.
    assert outside(text) == outside(empty)
    assert text.count("\n|") == empty.count("\n|")


def test_a_drift_issue_begins_with_its_stacks_marker():
    preview = Preview(stack="prod", changes=[Change(model="iris", target="aks", action="updated", reasons=["gone"])])
    text = drift_issue(preview, run=RUN)
    assert text.startswith(drift_marker("prod"))
    assert "| updated | `iris` | `aks` |" in text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2, "stack": "dev"}',
        '{"format": 1, "stack": "<b>"}',
        '{"format": 1, "stack": "dev", "more": 1}',
        '{"format": 1, "stack": "dev", "changes": [{"model": "a|b", "target": "aks", "action": "updated"}]}',
        '{"format": 1, "stack": "dev", "changes": [{"model": "a", "target": "aks", "action": "exploded"}]}',
        '{"format": 1, "stack": "dev", "models": {"x y": {}}}',
        '{"format": 1, "stack": "dev", "models": {"a": {"size_was": -1}}}',
    ],
)
def test_a_result_that_is_not_what_a_preview_writes_is_refused_without_repeating_it(tmp_path, content):
    (tmp_path / "dev.json").write_text(content)
    with pytest.raises(UnreadableError) as caught:
        read_previews(tmp_path)
    assert "<b>" not in str(caught.value)
    assert "exploded" not in str(caught.value)


def test_a_link_in_an_artifact_leads_nowhere(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"format": 1, "stack": "dev"}')
    results = tmp_path / "results"
    results.mkdir()
    (results / "x.json").symlink_to(secret)
    assert read_previews(results) == []


def test_too_many_results_are_refused(tmp_path):
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}.json").write_text('{"format": 1, "stack": "dev"}')
    with pytest.raises(UnreadableError, match="more than"):
        read_previews(tmp_path)
