"""AMLRequest and AMLResponse: HTTP as scripts with @rawhttp know it."""

from __future__ import annotations

import io
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.answers import to_answer
from tests.unit.compat_packages import AMLRequest, AMLResponse


def request(body=b"", content_type="application/json", **named):
    headers = [
        (b"content-type", content_type.encode()),
        (b"host", b"model.example"),
        (b"x-many", b"a"),
        (b"x-many", b"b"),
    ]
    return AMLRequest(**{"method": "POST", "path": "/score", "headers": headers, "body": body, **named})


def form(**named):
    """A form as a client sends it."""
    sent = httpx.Request("POST", "http://x/", **named)
    return request(sent.read(), sent.headers["content-type"])


class TestRequest:
    def test_headers_are_found_in_whatever_case(self):
        headers = request().headers
        assert headers["CONTENT-type"] == headers.get("Content-Type") == "application/json"
        assert "x-MANY" in headers
        assert headers.getlist("x-many") == ["a", "b"]
        assert headers.get("x-none") is None
        assert headers.get("x-none", "a default") == "a default"
        assert headers.get("x-many", 5, type=int) == 5
        assert dict(headers)["Host"] == "model.example"
        with pytest.raises(KeyError):
            headers["x-none"]

    def test_the_querys_parameters_are_text(self):
        args = request(query=b"a=1&b=x&a=2&c=").args
        assert args["a"] == "1"
        assert args.get("a", type=int) == 1
        assert args.get("b", -1, type=int) == -1
        assert args.getlist("a") == ["1", "2"]
        assert args.to_dict() == {"a": "1", "b": "x", "c": ""}
        assert args.to_dict(flat=False) == {"a": ["1", "2"], "b": ["x"], "c": [""]}
        assert "d" not in args

    def test_addresses_are_those_of_the_caller(self):
        asked = request(path="/score", query=b"a=%20")
        assert asked.url == "http://model.example/score?a=%20"
        assert asked.base_url == "http://model.example/score"
        assert asked.full_path == "/score?a=%20"
        assert (asked.host, asked.scheme, asked.is_secure) == ("model.example", "http", False)

    @pytest.mark.parametrize("content_type", ["image/png", "application/x-www-form-urlencoded", "application/json"])
    def test_the_body_is_there_whatever_its_content_type(self, content_type):
        asked = request(b"a=\xc3\xbc", content_type)
        assert asked.data == asked.get_data() == asked.stream.read() == b"a=\xc3\xbc"
        assert asked.get_data(cache=False, as_text=True) == "a=ü"

    def test_json_is_parsed(self):
        assert request(b'{"a": 1}').json == request(b'{"a": 1}', "text/plain").get_json(force=True) == {"a": 1}
        assert request(b"1", "application/x+json").is_json

    @pytest.mark.parametrize(("body", "content_type"), [(b"{", "application/json"), (b"1", "text/plain")])
    def test_what_is_no_json_is_an_error_or_none(self, body, content_type):
        with pytest.raises(ValueError, match=r"Expecting|is not JSON"):
            request(body, content_type).get_json()
        assert request(body, content_type).get_json(silent=True) is None

    def test_fields_of_a_form_are_text(self):
        found = form(data={"a": "1 &", "b": ["x", "ü"]}).form
        assert found["a"] == "1 &"
        assert found.getlist("b") == ["x", "ü"]
        assert form(data={"a": "1"}).values["a"] == "1"

    @given(
        data=st.binary(),
        text=st.text(st.characters(codec="utf-8")),
        filename=st.sampled_from(["a.bin", "ü.png", "a b;c.txt"]),
    )
    def test_files_of_a_form_come_as_they_were_sent(self, data, text, filename):
        asked = form(data={"text": text}, files={"file": (filename, data, "image/png")})
        file = asked.files["file"]

        assert asked.form["text"] == text
        assert (file.filename, file.content_type, file.name, file.read()) == (filename, "image/png", "file", data)

    def test_a_file_can_be_saved(self, tmp_path):
        file = form(files={"f": ("f", b"abc")}).files["f"]
        file.save(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == b"abc"
        file.seek(1)
        target = io.BytesIO()
        file.save(target)
        assert target.getvalue() == b"bc"

    @pytest.mark.parametrize(
        "body",
        [b"", b"--b\r\n", b"--b\r\nx: y\r\n\r\n1\r\n--b--", b"--b\r\ncontent-disposition: form-data; name=a\r\n--b--"],
    )
    def test_a_form_that_is_none_is_told(self, body):
        with pytest.raises(ValueError, match="the body is"):
            _ = request(body, "multipart/form-data; boundary=b").files

    def test_what_else_is_known_of_a_request(self):
        headers = [
            (b"content-type", b'Text/Plain; charset="utf-8"'),
            (b"content-length", b"5"),
            (b"cookie", b"a=1; b=2"),
        ]
        asked = AMLRequest("GET", "/score", b"", [*headers, (b"x-forwarded-proto", b"https")])
        assert (asked.mimetype, asked.mimetype_params) == ("text/plain", {"charset": "utf-8"})
        assert (asked.content_length, asked.content_encoding, asked.is_secure) == (5, None, True)
        assert asked.cookies == {"a": "1", "b": "2"}
        assert repr(asked) == "<AMLRequest 'https:///score' [GET]>"


class TestResponse:
    @pytest.mark.parametrize(
        ("response", "body", "content_type"),
        [
            (AMLResponse("text", 200), b"text", b"text/html; charset=utf-8"),
            (AMLResponse({"a": 1}, 200, json_str=True), b'{"a":1}', b"application/json"),
            (AMLResponse("text", 200, {}, True), b'"text"', b"application/json"),
            (AMLResponse(None, 200), b"{}", b"application/json"),
        ],
    )
    def test_a_response_is_sent_as_it_is(self, response, body, content_type):
        answer = to_answer(response)
        assert (answer.body, answer.content_type, answer.failed) == (body, content_type, False)

    def test_headers_may_be_added_and_changed(self):
        response = AMLResponse(b"\x89", 201, {"Content-Type": "image/png", "X-Many": "a, b"})
        response.headers["x-more"] = 5
        response.headers.add("X-MORE", 6)
        response.headers["content-type"] = "image/gif"
        answer = to_answer(response)

        assert (answer.status, answer.body, answer.content_type) == (201, b"\x89", None)
        assert sorted(answer.headers) == [
            (b"content-type", b"image/gif"),
            (b"x-many", b"a"),
            (b"x-many", b"b"),
            (b"x-more", b"5"),
            (b"x-more", b"6"),
        ]

    def test_a_failure_of_the_scripts_own_is_told(self):
        assert to_answer(AMLResponse("no", 400, run_function_failed=True)).failed

    def test_the_body_may_be_replaced(self):
        response = AMLResponse({"a": 1}, 200, json_str=True)
        response.set_data("text")
        assert (response.data, to_answer(response).body) == ("text", b"text")

    def test_both_names_are_the_same_classes(self):
        from azureml.contrib.services import aml_request, aml_response  # noqa: PLC0415 - what is tested

        assert aml_request.AMLRequest is AMLRequest
        assert aml_response.AMLResponse is AMLResponse
        assert json.loads(to_answer(aml_response.AMLResponse([1], 200, json_str=True)).body) == [1]
