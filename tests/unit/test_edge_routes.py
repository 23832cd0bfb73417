"""Conditions and routes as IoT Hub has them: what is read, what it means, and where messages may run in a circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifest.edge.query import QueryError, parse, value_at
from manifest.edge.query_values import UNDEFINED, UNKNOWN
from manifest.edge.routes import Endpoints, RouteError, loop, parse_route, wrong_ends

TWIN = {
    "deviceId": "line-4",
    "tags": {"site": "ulm", "line": 4, "new": True, "place": {"hall": "B"}},
    "properties": {"reported": {"firmware": "1.10", "ports": [80, 443]}},
}


def holds(text, document=TWIN):
    return parse(text).holds(lambda path: value_at(document, path))


def to(module, source="/messages/*", where=""):
    return parse_route(f'FROM {source} {where} INTO BrokeredEndpoint("/modules/{module}/inputs/input")')


@pytest.mark.parametrize(
    "text",
    [
        "tags.site = 'ulm'",
        "tags.site='ulm' and tags.line > 3",
        "NOT tags.site = 'kiel' AND (tags.line <> 4 OR tags.new = true)",
        "tags.line IN [1, 2, 4]",
        "tags.line NIN [1, 2]",
        "tags.place.hall = 'B'",
        "properties.reported.ports[1] = 443",
        "is_defined(tags.site) AND NOT IS_DEFINED(tags.gone)",
        "STARTS_WITH(properties.reported.firmware, '1.')",
        "tags.line * 2 + 1 = 9",
        "tags.line % 3 = 1 AND -tags.line < 0",
        "deviceId <> ''",
        "tags['site'] = \"ulm\"",
        "CONTAINS(LOWER(tags.place.hall), 'b')",
        "LENGTH(tags.site) = 3",
        "tags.site = 'ulm' OR tags.gone = 1",
    ],
)
def test_a_condition_holds(text):
    assert holds(text) is True


@pytest.mark.parametrize("text", ["tags.site = 'kiel'", "tags.line = '4'", "tags.gone = 1 AND tags.site = 'kiel'"])
def test_a_condition_does_not_hold(text):
    assert holds(text) is False


@pytest.mark.parametrize(
    "text", ["tags.gone = 1", "NOT tags.gone = 1", "tags.site > 3", "tags.gone", "tags.line / 0 = 1"]
)
def test_what_is_not_there_makes_a_comparison_neither_true_nor_false(text):
    assert holds(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a property"),
        ("tags.site = ", "expected a property, a number or a text in quotes at its end"),
        ("tags.site == 'ulm'", 'at "=", character 12'),
        ("tags.site = 'ulm", "a text without its closing '"),
        ("tags.site = 'ulm' tags.line = 1", "more than one condition"),
        ("(tags.site = 'ulm'", "expected )"),
        ("guess(tags.site)", "there is no function"),
        ("LENGTH(tags.site, 1)", "it takes 1"),
        ("tags.site = #", 'there is "#" at character 13'),
        ("tags. = 1", "expected a property's name"),
        ("AND", "expected a property"),
        ("(" * 100 + "1" + ")" * 100, "nested too deeply"),
        ("NOT " * 100 + "true", "nested too deeply"),
    ],
)
def test_what_the_hub_would_not_read_is_told_with_its_place(text, message):
    with pytest.raises(QueryError) as refused:
        parse(text)
    assert message in str(refused.value)


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_no_text_breaks_the_parser(text):
    try:
        condition = parse(text)
    except QueryError:
        return
    assert condition.holds(lambda path: value_at(TWIN, path)) in (True, False, None)


words = st.recursive(
    st.sampled_from(["tags.a = 1", "tags.b = 'x'", "IS_DEFINED(tags.c)", "tags.d > 2"]),
    lambda inner: st.one_of(
        inner.map(lambda one: f"NOT ({one})"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    ),
    max_leaves=6,
)
tags = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([1, 2, 3, "x"]))


@given(words, tags)
def test_what_is_certain_without_a_message_stays_so_whatever_the_message(text, values):
    condition = parse(text)
    certain = condition.holds(lambda _: UNKNOWN)
    if certain is not None:
        assert condition.holds(lambda path: value_at({"tags": values}, path)) is certain


@pytest.mark.parametrize(
    "source",
    ["/*", "/messages/*", "/messages/modules/*", "/messages/modules/iris/*", "/messages/modules/iris/outputs/*"],
)
def test_every_form_of_source_is_read(source):
    route = parse_route(f"FROM {source} INTO $upstream")
    assert (route.source, route.sink) == (source, None)
    assert route.may_come_from("iris")


def test_a_route_is_read_whatever_its_case_and_spaces():
    route = parse_route(
        "  from /messages/modules/iris/outputs/scores\n where score > 0.5 "
        'into\tBrokeredEndpoint( "/modules/f/inputs/in" ) '
    )
    assert (route.module, route.output, route.sink, route.input) == ("iris", "scores", "f", "in")
    assert route.condition.paths == {("score",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iris -> upstream", "is no route: write it as in FROM"),
        ("FROM /messages/modules/iris INTO $upstream", "is no source"),
        ("FROM /messages/modules/a/outputs/b/c INTO $upstream", "is no source"),
        ("FROM /messages/* INTO upstream", "is no sink"),
        ('FROM /messages/* INTO BrokeredEndpoint("/modules/a")', "is no sink"),
        ("FROM /messages/* WHERE score > INTO $upstream", "a condition that cannot be read"),
    ],
)
def test_what_is_no_route_is_told_with_the_form(text, message):
    with pytest.raises(RouteError) as refused:
        parse_route(text)
    assert message in str(refused.value)


def test_the_ends_of_a_route_have_to_be_there():
    modules = {"iris": Endpoints(outputs=frozenset({"scores"})), "sensor": Endpoints()}
    text = 'FROM /messages/modules/{}/outputs/{} INTO BrokeredEndpoint("/modules/{}/inputs/x")'
    assert list(wrong_ends(parse_route(text.format("sensor", "any", "iris")), modules)) == []
    (message,) = wrong_ends(parse_route(text.format("sensr", "any", "iris")), modules)
    assert (
        message
        == 'comes FROM the module "sensr", which is not on the device; did you mean "sensor"? There are: iris, sensor'
    )
    (message,) = wrong_ends(parse_route(text.format("iris", "score", "iris")), modules)
    assert 'the output "score" of "iris", which has none of that name; did you mean "scores"?' in message
    (message,) = wrong_ends(parse_route(text.format("iris", "scores", "gone")), modules)
    assert message.startswith('goes INTO the module "gone"')


def test_a_loop_is_found_and_named_in_its_order():
    routes = {"in": to("b", "/messages/modules/a/*"), "out": to("a", "/messages/modules/b/outputs/x"), "up": to("c")}
    assert sorted(loop({"in": routes["in"], "out": routes["out"]}, ["a", "b"])) == ["in", "out"]
    assert loop({"in": routes["in"]}, ["a", "b"]) is None
    assert loop({"up": routes["up"]}, ["c"]) == ["up"]


@pytest.mark.parametrize(
    ("where", "is_loop"),
    [
        ("", True),
        ("WHERE NOT IS_DEFINED($connectionModuleId)", False),
        ("WHERE $connectionModuleId <> 'a' AND score > 1", False),
        ("WHERE $connectionModuleId = 'b'", False),
        ("WHERE $connectionModuleId = 'b' OR urgent = 'yes'", True),
        ("WHERE score > 1", True),
    ],
)
def test_a_condition_that_leaves_the_module_itself_out_makes_no_loop(where, is_loop):
    assert (loop({"r": to("a", where=where)}, ["a", "b"]) is not None) is is_loop


def test_notifications_of_twins_are_no_messages_that_go_round():
    assert loop({"r": to("a", "/twinChangeNotifications")}, ["a"]) is None


pairs = st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"))


@given(st.lists(pairs, max_size=12))
def test_a_loop_is_found_exactly_where_there_is_one(edges):
    routes = {f"r{i}": to(sink, f"/messages/modules/{source}/*") for i, (source, sink) in enumerate(edges)}
    found = loop(routes, "abcdef")
    reached = {one: {sink for source, sink in edges if source == one} for one in "abcdef"}
    for _ in "abcdef":
        reached = {one: sinks | {far for sink in sinks for far in reached[sink]} for one, sinks in reached.items()}
    assert (found is not None) is any(one in sinks for one, sinks in reached.items())
    if found:
        way = [routes[name] for name in found]
        assert all(one.sink == after.module for one, after in zip(way, [*way[1:], way[0]], strict=True))


def test_absent_and_unknown_are_told_apart():
    assert value_at({"a": [1]}, ("a", 3)) is UNDEFINED
    assert value_at({"a": None}, ("a",)) is None
    assert value_at({"a": {"b": 1}}, ("a", "b", "c")) is UNDEFINED
