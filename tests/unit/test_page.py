"""The page to try a service, in a real browser."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from scoring import page
from scoring.answers import Answer
from scoring.swagger import Swagger
from tests.unit.page_harness import IRIS, Service, Visit, chromium, iris

SAMPLE = json.loads((IRIS / "sample.json").read_bytes())
PREDICTIONS = b'{"predictions":[{"species":"setosa","id":12345678901234567890}]}'
RUN_MS = (b"x-ms-run-fn-exec-ms", b"4.25")


@pytest.fixture(scope="module")
def started():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visiting(started):
    """Opens the page of a service with a given /score; checks at the end what the browser had to say."""
    services, visits = [], []

    def visit(
        score=lambda _body, _headers: Answer(PREDICTIONS, headers=(RUN_MS,)),
        *,
        swagger=None,
        key="",
        state=None,
        **options,
    ):
        service = Service(score, swagger or iris(), options.pop("prefix", ""))
        services.append(service)
        service.key, service.state = key, state or service.state
        visits.append(Visit(started, service.address, **options))
        return service, visits[-1].page

    try:
        yield visit
        for opened, service in zip(visits, services, strict=True):
            # A refused request is logged by the browser itself.
            assert [text for text in opened.problems if not text.startswith("Failed to load resource")] == []
            assert opened.hosts == {f"127.0.0.1:{service.server.server_port}"}
    finally:
        for opened in visits:
            opened.context.close()
        for service in services:
            service.close()


def send(shown):
    shown.get_by_role("button", name="Send").click()
    shown.locator("#facts strong").wait_for()


def test_the_sample_is_filled_in_and_answered(visiting):
    service, shown = visiting()
    body = shown.get_by_label("Body", exact=True)
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    assert json.loads(body.input_value()) == SAMPLE
    send(shown)
    assert shown.locator("#facts").inner_text().startswith("200 OK")
    assert "run() 4.3 ms" in shown.locator("#facts").inner_text()
    # Not rounded, as numbers of JavaScript's would be.
    assert '"id": 12345678901234567890' in shown.locator("#answer").inner_text()
    path, headers, sent = service.asked[-1]
    assert (path, headers["content-type"], json.loads(sent)) == ("/score", "application/json", SAMPLE)
    assert "authorization" not in headers


def test_name_version_and_state_are_shown(visiting):
    service, shown = visiting()
    shown.get_by_role("heading", name="iris").wait_for()
    assert shown.title() == "iris 3: try it"
    assert shown.locator("#version").inner_text() == "version 3"
    shown.get_by_role("status").get_by_text("ready").wait_for()
    service.state = {"state": "failed", "error": "ValueError: no model"}
    shown.get_by_role("status").get_by_text("failed").wait_for()
    shown.get_by_text("ValueError: no model").wait_for()


def test_the_schema_is_a_table(visiting):
    _, shown = visiting()
    table = shown.get_by_role("region", name="What it answers").get_by_role("table")
    table.wait_for()
    rows = [row.inner_text().split("\t") for row in table.get_by_role("row").all()[1:]]
    assert ["predictions[].species required", "string", 'one of "setosa", "versicolor", "virginica"'] in rows
    assert ["predictions[].probability required", "number", "at least 0; at most 1"] in rows


def test_the_answers_headers_are_shown(visiting):
    _, shown = visiting()
    send(shown)
    shown.get_by_text("Headers", exact=True).click()
    assert shown.get_by_role("row", name="x-ms-run-fn-exec-ms 4.25").is_visible()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(b'{"message": "data: expected 4 numbers, given 3"}', 400), "data: expected 4 numbers, given 3"),
        (Answer(b"<b>broken</b>", 502, b"text/html"), "<b>broken</b>"),
    ],
)
def test_an_error_is_shown_as_it_came(visiting, answer, says):
    _, shown = visiting(lambda _body, _headers: answer)
    send(shown)
    assert shown.locator("#facts strong").get_attribute("class") == "bad"
    assert says in shown.locator("#answer").inner_text()


def test_what_is_not_json_is_told_and_sent_as_it_is(visiting):
    service, shown = visiting()
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    shown.get_by_label("Body", exact=True).fill('{"data": NaN}')
    assert shown.locator("#body-hint").inner_text().startswith("This is not JSON")
    send(shown)
    assert service.asked[-1][2] == b'{"data": NaN}'
    shown.get_by_role("button", name="Reset to sample").click()
    assert json.loads(shown.get_by_label("Body", exact=True).input_value()) == SAMPLE
    assert not shown.locator("#body-hint").is_visible()


def test_a_service_of_text_gets_text(visiting, tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("a,b\n1,2\n", encoding="utf-8")
    documents = Swagger(name="csv", version="1", path_prefix="", root=tmp_path, script=None, schema=None, sample=sample)
    service, shown = visiting(lambda body, _headers: Answer(body, content_type=b"text/csv"), swagger=documents)
    shown.get_by_role("heading", name="csv").wait_for()
    send(shown)
    assert (service.asked[-1][1]["content-type"], service.asked[-1][2]) == ("text/plain", b"a,b\n1,2\n")
    assert shown.locator("#answer").inner_text() == "a,b\n1,2\n"


def test_a_guarded_service_is_used_with_its_key(visiting):
    service, shown = visiting(key="a secret")
    shown.get_by_text("The service asks for a key").wait_for()
    key = shown.get_by_label("Key or token")
    assert key.get_attribute("aria-invalid") == "true"
    key.fill("Bearer a secret")
    key.press("Tab")
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    send(shown)
    assert shown.locator("#facts strong").inner_text() == "200 OK"
    assert service.asked[-1][1]["authorization"] == "Bearer a secret"
    assert key.get_attribute("aria-invalid") is None
    # What is copied names the key, and a reload forgets it.
    assert "$KEY" in shown.locator("#curl").inner_text()
    assert "a secret" not in shown.locator("#curl").inner_text() + shown.locator("#python").inner_text()
    shown.reload()
    assert shown.get_by_label("Key or token").input_value() == ""
    assert shown.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_a_wrong_key_is_told(visiting):
    service, shown = visiting()
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    service.key = "another"
    send(shown)
    shown.get_by_text("this one is missing or wrong").wait_for()
    assert shown.get_by_label("Key or token").get_attribute("aria-invalid") == "true"


def test_a_request_that_takes_long_can_be_cancelled(visiting):
    over = threading.Event()
    try:
        _, shown = visiting(lambda _body, _headers: Answer(PREDICTIONS) if over.wait(60) else Answer(b""))
        shown.get_by_role("button", name="Send").click()
        shown.get_by_role("button", name="Cancel").click()
        shown.get_by_text("Cancelled: no answer was waited for.").wait_for()
        assert shown.get_by_role("button", name="Send").is_enabled()
    finally:
        over.set()


def test_control_and_enter_send(visiting):
    _, shown = visiting()
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    shown.get_by_label("Body", exact=True).press("Control+Enter")
    shown.locator("#facts strong").wait_for()


def test_an_image_is_shown(visiting):
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>'
    _, shown = visiting(lambda _body, _headers: Answer(drawing, content_type=b"image/svg+xml"))
    send(shown)
    shown.get_by_role("link", name="Save 95 B of image/svg+xml").wait_for()
    image = shown.get_by_role("img", name="The answer")
    shown.wait_for_function("document.querySelector('img').complete")
    assert image.evaluate("element => element.naturalWidth") == 8


def test_what_a_model_answers_is_never_run(visiting):
    hostile = b'{"a": "<img src=x onerror=document.title=1>", "<script>document.title=1</script>": 1}'
    _, shown = visiting(lambda _body, _headers: Answer(hostile))
    shown.get_by_role("heading", name="iris").wait_for()
    send(shown)
    assert "<img src=x" in shown.locator("#answer").inner_text()
    assert shown.title() == "iris 3: try it"


def test_the_snippets_say_what_is_sent(visiting):
    service, shown = visiting()
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    shown.get_by_label("Body", exact=True).fill('{"a": "it\'s", "b": [true, null, 1e3]}')
    curl, python = shown.locator("#curl").inner_text(), shown.locator("#python").inner_text()
    assert curl == (
        f"curl '{service.address}/score' \\\n  -H 'Content-Type: application/json' \\\n"
        """  --data-binary '{"a": "it'\\''s", "b": [true, null, 1e3]}'"""
    )
    assert """json={"a": "it's", "b": [True, None, 1e3]},""" in python
    compile(python, "snippet", "exec")


def test_a_snippet_is_copied(visiting):
    _, shown = visiting(permissions=["clipboard-read", "clipboard-write"])
    # The sample, when it comes, changes the snippet.
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    snippet = shown.locator("#curl").inner_text()
    # "Copied" stays while the clock stands, however slow the machine is.
    shown.clock.install()
    shown.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    shown.locator("[data-copies=curl]").click()
    shown.get_by_role("button", name="Copied").wait_for()
    assert shown.evaluate("navigator.clipboard.readText()") == snippet
    shown.clock.run_for(2000)
    assert shown.locator("[data-copies=curl]").inner_text() == "Copy"


def test_a_gateway_may_put_something_before_the_path(visiting):
    service, shown = visiting(prefix="/models/iris")
    shown.get_by_role("cell", name="Flowers: sepal length").wait_for()
    send(shown)
    assert service.asked[-1][0] == "/models/iris/score"
    shown.goto(f"{service.address}/docs/")
    assert shown.url == f"{service.address}/docs"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(visiting, scheme):
    _, shown = visiting(color_scheme=scheme)
    send(shown)
    found = shown.evaluate(CONTRASTS)
    assert len(found) > 30
    assert [entry for entry in found if entry[0] < 4.5] == []


def test_everything_that_can_be_used_has_a_name(visiting):
    _, shown = visiting()
    send(shown)
    unnamed = shown.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, a, [role=region]")]
            .filter((one) => !(one.innerText || one.getAttribute("aria-label") || one.labels?.length))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []


def test_a_narrow_page_does_not_scroll_sideways(visiting):
    _, shown = visiting(viewport={"width": 360, "height": 700})
    send(shown)
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_page_that_is_framed_or_loads_from_elsewhere_is_forbidden():
    for path in ("/docs", "/docs/app.js", "/docs/style.css"):
        answer = page.answer(path)
        assert answer is not None
        headers = dict(answer.headers)
        policy = headers[b"content-security-policy"]
        assert b"default-src 'none'" in policy
        assert b"frame-ancestors 'none'" in policy
        assert b"unsafe" not in policy
        assert (headers[b"x-content-type-options"], headers[b"referrer-policy"]) == (b"nosniff", b"no-referrer")


@pytest.mark.parametrize(
    "path", ["/", "/score", "/docsx", "/docs/../score", "/docs/__init__.py", "/docs/x.js", "/docs/docs"]
)
def test_other_paths_are_not_the_pages(path):
    assert page.answer(path) is None


# The contrast (WCAG 2) of each visible text with what is behind it.
CONTRASTS = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [red, green, blue] = colour.slice(0, 3).map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) { return colour; }
        }
        return [255, 255, 255];
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement;
        if (texts.currentNode.data.trim() && element.checkVisibility()) {
            const pair = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
            found.push([(pair[0] + 0.05) / (pair[1] + 0.05), texts.currentNode.data.trim().slice(0, 40)]);
        }
    }
    return found;
}"""
