"""The text of a model's Dockerfile; that it builds is shown by the system tests."""

import re

from components.dockerfile import render


def _render(**changes):
    given = {
        "model": ".",
        "exclude": ["score.py", "**/__pycache__"],
        "code": ".",
        "code_files": ["score.py"],
        "contract_files": {"sample.json": "sample.json"},
        "model_dir": "/var/azureml-app/azureml-models/iris/1",
        "environment": {"SERVICE_NAME": "iris"},
    }
    return render(**{**given, **changes})


def test_the_layers_come_by_rate_of_change():
    order = ["FROM environment", "from=runtime-files", "from=model-files", "from=code-files", "USER 65532:65532"]
    text = _render()
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)


def test_the_sample_is_answered_by_the_user_that_serves_in_the_last_step():
    runs = re.findall(r"^RUN .*$", _render(), re.MULTILINE)
    assert "--reuid=65532 --regid=65532" in runs[-1]
    assert "scoring check" in runs[-1]
    assert not any("scoring check" in one for one in runs[:-1])


def test_scoring_files_stay_out_of_the_models_layer():
    [copy] = [line for line in _render().splitlines() if line.endswith('[".", "/"]')]
    assert "--exclude=score.py" in copy


def test_what_is_copied_has_one_mode_whatever_the_checkouts_umask():
    copies = [line for line in _render().splitlines() if line.startswith("COPY")]
    assert copies
    assert all("--chmod=a=rX,u+w" in line for line in copies)


def test_a_variables_value_stands_as_it_is():
    text = _render(environment={"A": 'say "$HOME" \\ twice'})
    assert r'ENV A="say \"\$HOME\" \\ twice"' in text


def test_a_code_folder_goes_in_whole():
    assert '["src/.", "/code/"]' in _render(code="src", code_files=None)


def test_a_model_without_sample_and_schema_has_no_contract():
    assert "/contract" not in _render(contract_files={})
