"""The store: only whole engines of exactly the wanted identity are ever given out."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.conftest import fill
from spotterd.builder.identity import Identity, hash_of_hashes
from spotterd.builder.sidecar import Sidecar
from spotterd.builder.store import Engine, Store
from spotterd.errors import RetryError

WANTED = Identity(
    model_sha256="ab" * 32,
    labels=("airplane", "bird"),
    input_hw=(640, 640),
    preprocessing="letterbox/1",
    backend="tensorrt",
    precision="auto",
    flags=("dla_core=None",),
    calibration="cd" * 32,
    runtime="TensorRT 10.3.0",
    device="Orin",
    capability="8.7",
    driver="540.4",
    system="36.4",
)


def sidecar(identity: Identity = WANTED) -> Sidecar:
    return Sidecar(
        identity=identity,
        precision="int8",
        file="",
        sha256="",
        bytes=0,
        tried=(),
        calibrated_by="18 pictures",
        seconds=12.5,
        built_unix=1,
    )


def kept(store: Store, identity: Identity = WANTED, data: bytes = b"engine" * 100) -> Engine:
    with store.workfile(".plan") as made:
        made.write_bytes(data)
        return store.save(made, sidecar(identity))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "engines", 10**6)


def test_what_was_kept_is_found_again(store: Store) -> None:
    assert store.load(WANTED) is None
    engine = kept(store)
    again = store.load(WANTED)
    assert again == engine
    assert again.path is not None
    assert again.path.read_bytes() == b"engine" * 100
    assert [p.name for p in store.folder.glob(".tmp-*")] == []


def test_the_model_itself_can_be_the_engine(store: Store) -> None:
    assert store.save(None, sidecar()).path is None
    again = store.load(WANTED)
    assert again is not None
    assert again.path is None


CHANGES = {
    "model_sha256": "00" * 32,
    "labels": ("bird", "airplane"),
    "input_hw": (640, 512),
    "preprocessing": "letterbox/2",
    "backend": "onnxruntime",
    "precision": "fp16",
    "flags": ("dla_core=0",),
    "calibration": "",
    "runtime": "TensorRT 10.7.0",
    "device": "Xavier",
    "capability": "7.2",
    "driver": "541",
    "system": "36.5",
    "builder": 99,
}


def test_every_field_is_a_change() -> None:
    assert set(CHANGES) == set(Identity.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_any_change_of_identity_is_another_engine(store: Store, field: str) -> None:
    kept(store)
    other = WANTED.model_copy(update={field: CHANGES[field]})
    assert store.load(other) is None
    assert other.key != WANTED.key
    assert [d.split(":")[0] for d in other.differences(WANTED)] == [field]
    assert store.load(WANTED) is not None


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_pictures_does_not_matter(hashes: list[str]) -> None:
    assert hash_of_hashes(hashes) == hash_of_hashes(["a", "b", "c", "d"])
    assert hash_of_hashes(hashes[:-1]) != hash_of_hashes(hashes)


def truncate(engine: Path, _side: Path) -> None:
    os.truncate(engine, 100)


def flip(engine: Path, _side: Path) -> None:
    engine.write_bytes(b"x" + engine.read_bytes()[1:])


def foreign(_engine: Path, side: Path) -> None:
    tree = json.loads(side.read_text())
    tree["identity"]["device"] = "another GPU"
    side.write_text(json.dumps(tree))


DAMAGE = {
    "a truncated plan": truncate,
    "changed bytes": flip,
    "no plan": lambda engine, _: engine.unlink(),
    "a sidecar of another GPU": foreign,
    "half a sidecar": lambda _, side: os.truncate(side, 50),
    "an empty sidecar": lambda _, side: os.truncate(side, 0),
    "a sidecar that is none": lambda _, side: side.write_text('{"identity": 3}'),
    "a sidecar of a newer version": lambda _, side: side.write_text('{"version": 9}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_set_aside_and_never_loaded(
    store: Store, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = kept(store)
    assert engine.path is not None
    DAMAGE[name](engine.path, store.folder / f"{WANTED.key}.json")
    assert store.load(WANTED) is None
    assert "is not used" in caplog.text
    assert list((store.folder / "set-aside").iterdir())
    assert not list(store.folder.glob(f"{WANTED.key}*"))
    kept(store)
    assert store.load(WANTED) is not None


def test_what_is_set_aside_stays_bounded(store: Store) -> None:
    for _ in range(6):
        engine = kept(store)
        assert engine.path is not None
        flip(engine.path, engine.path)
        assert store.load(WANTED) is None
    assert len(list((store.folder / "set-aside").iterdir())) <= 4


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 6500)
    identities = [WANTED.model_copy(update={"driver": str(n)}) for n in range(4)]
    for n, identity in enumerate(identities[:3]):
        kept(store, identity, b"x" * 1000)
        os.utime(tmp_path / f"{identity.key}.json", (n, n))
    assert store.load(identities[0]) is not None  # used just now
    kept(store, identities[3], b"x" * 1000)
    found = [store.load(identity) is not None for identity in identities]
    assert found == [True, False, True, True]


def test_one_engine_larger_than_the_limit_is_kept_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path, 10)
    kept(store)
    assert store.load(WANTED) is not None


def test_a_builder_sweeps_up_after_one_that_died(store: Store) -> None:
    store.folder.mkdir()
    left = store.folder / ".tmp-77-1.plan"
    left.write_bytes(b"half")
    with store.building():
        assert not left.exists()


def test_an_engine_without_sidecar_is_no_engine(store: Store) -> None:
    store.folder.mkdir()
    (store.folder / f"{WANTED.key}.plan").write_bytes(b"whole, but who knows")
    assert store.load(WANTED) is None
    kept(store)
    assert store.load(WANTED) is not None


def test_why_the_last_engine_does_not_fit(store: Store) -> None:
    kept(store)
    newer = WANTED.model_copy(update={"runtime": "TensorRT 10.7.0"})
    last = store.last(WANTED.model_sha256)
    assert last is not None
    assert newer.differences(last) == ("runtime: TensorRT 10.3.0 -> TensorRT 10.7.0",)
    assert store.last("none") is None


def test_a_full_disk_is_told_and_nothing_half_remains(small_disk: Path) -> None:
    store = Store(small_disk / "engines", 10**6)
    with store.workfile(".plan") as made:
        made.write_bytes(b"x" * 20_000)
        fill(small_disk / "ballast")
        with pytest.raises(RetryError, match="No space left on device"):
            store.save(made, sidecar())
    assert store.load(WANTED) is None
    fill(small_disk / "more")
    store.keep_cache("a.cache", b"c" * 20_000)
    assert store.cache("a.cache") is None
    (small_disk / "ballast").unlink()
    kept(store)
    assert store.load(WANTED) is not None


def test_a_full_disk_while_the_engine_is_written(small_disk: Path) -> None:
    store = Store(small_disk / "engines", 10**6)
    with pytest.raises(OSError, match="No space"), store.workfile(".plan") as made:
        made.write_bytes(b"x" * 100_000)
    assert store.load(WANTED) is None
    assert not list(store.folder.glob(".tmp-*"))


def test_how_often_an_engine_has_ended_the_daemon_is_forgotten_with_it(store: Store) -> None:
    assert store.faults(WANTED) == 0
    kept(store)
    store.note_faults(WANTED, 3)
    assert store.faults(WANTED) == 3
    assert store.load(WANTED) is not None
    store.drop(WANTED)
    assert store.faults(WANTED) == 0
    (store.folder / f"{WANTED.key}.faults").write_bytes(b"torn \xff")
    assert store.faults(WANTED) == 0


def test_an_engine_that_the_disk_does_not_let_go_is_a_sentence(store: Store) -> None:
    (store.folder / f"{WANTED.key}.json").mkdir(parents=True)  # stands for a read-only disk
    with pytest.raises(RetryError, match="cannot be removed"):
        store.drop(WANTED)
