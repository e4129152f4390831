"""config.yaml, the schema and the sentences about mistakes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.config.load import load, read_tree, validate
from spotterd.config.merge import leaves, merge
from spotterd.config.schema import Config
from spotterd.errors import BadInputError

ROOT = Path(__file__).parents[2]


def test_config_yaml_equals_the_defaults_and_shows_every_key() -> None:
    shown = read_tree(ROOT / "config.yaml")
    assert validate(shown, "config.yaml") == Config()
    defaults = leaves(Config().model_dump(mode="json", exclude={"node"}))
    assert set(leaves(shown)) == set(defaults)


def test_five_mistakes_are_told_at_once_with_path_and_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "detector: {scor: 0.5, iou: 1.5}\n"
        "mqtt: {url: 'http://x'}\n"
        "cameras: {'my cam': {source: 'sim:'}}\n"
        "healt: {}\n",
        encoding="utf-8",
    )
    with pytest.raises(BadInputError) as told:
        load(file)
    text = str(told.value)
    assert "5 problems" in text
    assert "detector.scor: unknown key; did you mean 'score'?" in text
    assert "healt: unknown key; did you mean 'health'?" in text
    for path in ("detector.iou:", "mqtt.url:", "cameras.my cam:"):
        assert path in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML: line"),
        ("[" * 5000, "nested too deeply"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("node: a\nnode: b\n", "the key 'node' is given twice"),
        ("cameras: {a: 3}\n", "cameras.a: must be a section"),
        ("cameras: {a: {sorce: x}}\n", "cameras.a.sorce: unknown key; did you mean 'source'?"),
        ("cameras: {}\n", "cameras:"),
        ("node: 5\n", "node: must be text (in quotes), not 5"),
        ("health: {interval_s: soon}\n", "health.interval_s: must be a number, not 'soon'"),
        ("events: {zones: {a: {polygon: [[0, 0]]}}}\n", "must have at least 3 entries"),
        ("events: {lines: {a: {start: [0, 0]}}}\n", "events.lines.a.end: is missing"),
        ("node: a b\n", "node: must be 1 to 64 letters, digits, - and _, not 'a b'"),
        ("mqtt: {root: 'a/#'}\n", "mqtt.root: must be the beginning of a topic"),
        ("events: {quiet_hours: 22:00-06:00}\n", "must be a list, not '22:00-06:00'"),
        ("events: {quiet_hours: ['25:00-26:00']}\n", "must be HH:MM-HH:MM, such as 22:00-06:00"),
        ("detector: {input_size: 100}\n", "detector.input_size: should be a multiple of 32"),
        ("mqtt: {url: 'http://x'}\n", "mqtt.url: should be mqtt://HOST[:PORT]"),
        ("mqtt: {url: 'mqtt://:1883'}\n", "mqtt.url: should be mqtt://HOST[:PORT]"),
        ("mqtt: {url: 'mqtt://a b'}\n", "mqtt.url: should be mqtt://HOST[:PORT]"),
        ("mqtt: {url: 'mqtt://broker:0'}\n", "mqtt.url: should be mqtt://HOST[:PORT]"),
        ("mqtt: {url: 'mqtt://broker:99999'}\n", "mqtt.url: port out of range 0-65535"),
        ("mqtt: {url: 'mqtt://[::1'}\n", "mqtt.url: invalid IPv6 URL"),
        ("mqtt: {url: 'mqtt://broker/topic'}\n", "and no more"),
        ("mqtt: {url: 'mqtt://me:secret@broker'}\n", "mqtt.password_file, not 'mqtt://***@"),
        ("mqtt: {url: 'mqtt://me:secret@broker:99999'}\n", "not 'mqtt://***@broker:99999'"),
    ],
)
def test_bad_files_get_one_clear_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "ünï.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=r".") as told:
        load(file)
    assert said in str(told.value)
    assert "ünï.yaml" in str(told.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="Cannot read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"node: \xff")
    with pytest.raises(BadInputError, match="not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("detector: {score: 0.5, iou: 0.4}\n", encoding="utf-8")
    config = load(file, {"detector": {"score": 0.7}})
    assert (config.detector.score, config.detector.iou) == (0.7, 0.4)


TREES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda below: st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


@given(TREES, TREES)
def test_merge_patch_is_idempotent_and_wins(base: dict, patch: dict) -> None:
    once = merge(base, patch)
    assert merge(once, patch) == once
    flat = leaves(once)
    for path, value in leaves(patch).items():
        if value != {}:
            assert flat[path] == value


@given(TREES)
def test_null_takes_a_key_back(base: dict) -> None:
    assert merge(base, dict.fromkeys(base)) == {}
