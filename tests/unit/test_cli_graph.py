"""A stack's graph, and its picture."""

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from cli.graph.graph import graph_of
from cli.graph.svg import draw
from cli.placements.placement import Placement
from cli.placements.states import NOT_DEPLOYED, NOT_LIVE

SVG = "{http://www.w3.org/2000/svg}"
IMAGE = "localhost:5050/shop/models/iris@sha256:" + 64 * "a"
IRIS = Placement("iris", "2", "local-docker", "http://127.0.0.1:8890", IMAGE, state="ready")
ON_AKS = Placement("iris", "2", "aks", image=None, state=NOT_LIVE)
NEW = Placement("wine", "1", "local-docker", state=NOT_DEPLOYED)


def _parsed(picture):
    return ET.fromstring(picture)  # noqa: S314 - our own text


def _texts(picture):
    return [element.text for element in _parsed(picture).iter(f"{SVG}text")]


def test_a_model_leads_to_its_image_and_that_to_its_targets():
    graph = graph_of("dev", [IRIS, Placement("iris", "2", "aci", "https://a.example", IMAGE, state="busy")])
    assert [node.kind for node in graph.nodes] == ["model", "image", "target", "target"]
    image = f"image:{IMAGE}"
    assert graph.edges == (
        ("model:iris", image),
        (image, "target:iris/local-docker"),
        (image, "target:iris/aci"),
    )


def test_what_is_not_deployed_hangs_on_the_model_itself():
    graph = graph_of("dev", [NEW])
    assert graph.edges == (("model:wine", "target:wine/local-docker"),)
    assert graph.nodes[-1].state == NOT_DEPLOYED


def test_as_json_it_is_nodes_and_edges():
    report = graph_of("dev", [IRIS]).as_json()
    assert report["stack"] == "dev"
    assert report["nodes"][0] == {
        "id": "model:iris",
        "kind": "model",
        "title": "iris",
        "detail": "version 2",
        "state": None,
    }
    assert report["edges"][0] == {"from": "model:iris", "to": f"image:{IMAGE}"}


def test_a_failed_edit_is_told_in_the_picture():
    edited = Placement("iris", "2", "local-docker", image=IMAGE, state="ready", reload_error="SyntaxError")
    assert "ready, edit failed" in _texts(draw(graph_of("dev", [edited])))


def test_cards_of_a_column_do_not_overlap_and_stay_in_the_picture():
    rows = [IRIS, ON_AKS, NEW, Placement("digits", "1", "local-docker", image=IMAGE.replace("iris", "digits"))]
    root = _parsed(draw(graph_of("dev", rows)))
    width, height = float(root.get("width")), float(root.get("height"))
    columns = {}
    for group in root.iter(f"{SVG}g"):
        left, top = map(float, group.get("transform").removeprefix("translate(").rstrip(")").split())
        card = group.find(f"{SVG}rect")
        columns.setdefault(left, []).append(top)
        assert left + float(card.get("width")) <= width
        assert top + float(card.get("height")) <= height
    assert len(columns) == 3
    for tops in columns.values():
        ordered = sorted(tops)
        assert all(second - first >= 62 for first, second in pairwise(ordered))


def test_a_long_name_is_cut_and_stands_in_full_in_the_tooltip():
    name = "w" * 60
    picture = draw(graph_of("dev", [Placement(name, "1", "local-docker", image=IMAGE)]))
    assert all(text is None or len(text) < 60 for text in _texts(picture))
    assert any(name in (element.text or "") for element in _parsed(picture).iter(f"{SVG}title"))


def test_an_empty_stack_says_so():
    assert any("No models" in text for text in _texts(draw(graph_of("dev", []))))


def test_readers_of_dark_pages_get_a_dark_picture():
    assert "@media (prefers-color-scheme: dark)" in draw(graph_of("dev", []))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")))
def test_any_text_gives_a_sound_document(text):
    rows = [Placement(text, text, text, text, f"{text}@sha256:1", state=text)]
    assert _parsed(draw(graph_of(text, rows))).tag == f"{SVG}svg"
