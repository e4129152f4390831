"""Slots in flight on a GPU: order, overlap, graphs, zero copy, and what happens after a fault."""

import threading
from functools import partial

import pytest

from inference.trt_models import SIDE, doubling_model, open_plan, plan_file
from spotterd.errors import FallBackError, RestartError
from spotterd.inference.cuda import Gpu, GpuFault
from spotterd.inference.tensorrt import TrtEngine
from standins import libcuda, pycuda_driver, trt11
from standins.gpu import stack

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def backend(tmp_path):
    path = plan_file(tmp_path, trt11)
    backend = open_plan(trt11, path, slots=3)
    yield backend
    backend.close()


def submit(backend, value):
    slot = backend.acquire()
    slot.input.fill(value)
    backend.submit(slot)
    return slot


def finish(backend, slot):
    try:
        backend.wait(slot)
        return float(slot.outputs[0].flat[-1])
    finally:
        backend.release(slot)


def test_every_slot_gets_its_own_answer_with_all_in_flight(backend):
    for first in range(50):
        slots = [submit(backend, first + i) for i in range(3)]
        assert [finish(backend, s) for s in slots] == [2 * (first + i) for i in range(3)]


def test_a_frame_is_copied_in_while_the_one_before_computes(backend, device, monkeypatch):
    computing, copied = threading.Event(), threading.Event()

    def hold() -> None:
        computing.set()
        assert copied.wait(10)

    first = backend.acquire()
    lane = backend._loaded.lanes[first]
    monkeypatch.setattr(lane, "run", lambda: device.streams[lane.stream.handle].submit(hold))
    backend.submit(first)
    assert computing.wait(10)
    copy = pycuda_driver.memcpy_htod_async

    def copy_and_tell(dest, src, stream):
        copy(dest, src, stream)
        stream._stream.submit(copied.set)

    monkeypatch.setattr(pycuda_driver, "memcpy_htod_async", copy_and_tell)
    second = submit(backend, 3)
    backend.wait(first)  # would wait for ever if the second frame's copy waited for this one
    assert finish(backend, second) == 6
    backend.release(first)


def test_runs_follow_one_another_since_they_share_scratch_memory(backend, device, monkeypatch):
    running = threading.Semaphore(1)
    overlapped = []

    def work() -> None:
        if not running.acquire(blocking=False):
            overlapped.append(True)
            return
        threading.Event().wait(0.001)
        running.release()

    for lane in backend._loaded.lanes.values():
        lane.run = partial(device.streams[lane.stream.handle].submit, work)
    for _ in range(20):
        for slot in [submit(backend, 0) for _ in range(3)]:
            finish(backend, slot)
    assert overlapped == []


def test_no_run_reads_memory_that_nobody_has_written(backend):
    assert pycuda_driver.counts["htod"] == backend.slots  # each slot's first run is at the opening


def test_acquire_waits_for_a_release_by_another_thread(backend):
    slots = [backend.acquire() for _ in range(3)]
    got = []
    taker = threading.Thread(target=lambda: got.append(backend.acquire()))
    taker.start()
    assert got == []
    backend.release(slots[1])
    taker.join(5)
    assert got == [slots[1]]


def test_the_run_is_recorded_as_a_graph_per_slot(backend, device):
    assert len(device.graphs) == 3
    assert finish(backend, submit(backend, 4)) == 8


def test_an_engine_that_cannot_be_captured_is_queued_singly(tmp_path, device, monkeypatch, caplog):
    monkeypatch.setattr(libcuda, "refuse_capture", True)
    caplog.set_level("INFO")
    path = plan_file(tmp_path, trt11)
    backend = open_plan(trt11, path)
    assert device.graphs == {}
    assert "operation not permitted when stream is capturing" in caplog.text
    assert finish(backend, submit(backend, 4)) == 8
    backend.close()


def test_shared_memory_is_used_in_place(tmp_path, device):
    device.integrated = True
    path = plan_file(tmp_path, trt11)
    backend = open_plan(trt11, path)
    copies = pycuda_driver.counts["htod"] + pycuda_driver.counts["dtoh"]
    assert finish(backend, submit(backend, 4)) == 8
    assert pycuda_driver.counts["htod"] + pycuda_driver.counts["dtoh"] == copies == 0
    assert device.used_bytes == 0
    backend.close()
    assert device.mapped == set()


def test_zero_copy_can_be_left_off(tmp_path, device):
    device.integrated = True
    path = plan_file(tmp_path, trt11)
    backend = open_plan(trt11, path, zero_copy="off", slots=2)
    assert device.used_bytes == 2 * 2 * 3 * SIDE * SIDE * 4
    backend.close()


def test_any_one_thread_may_use_it(tmp_path):
    """Opened here, run there, closed here: the context is current only inside a call."""
    path = plan_file(tmp_path, trt11)
    backend = open_plan(trt11, path)
    answers = []
    worker = threading.Thread(target=lambda: answers.append(finish(backend, submit(backend, 3))))
    worker.start()
    worker.join(10)
    backend.close()
    assert answers == [6]


FAULTS = ["CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_process_in_one_sentence(backend, device, fault):
    slot = submit(backend, 1)
    device.error = fault
    with pytest.raises(RestartError, match=r"^The GPU failed \(cuEventSync.*\); .*Start spotterd"):
        finish(backend, slot)


def test_a_fault_at_submit_ends_it_too(backend, device):
    device.error = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(RestartError, match="illegal memory access"):
        submit(backend, 1)


def test_an_engine_that_refuses_to_run_ends_it_with_tensorrts_words(backend, monkeypatch):
    engine = backend._loaded._engine
    for lane in backend._loaded.lanes.values():
        lane.run = partial(engine.enqueue, lane.addresses, lane.stream.handle)
    monkeypatch.setattr(engine._context, "execute_async_v3", lambda _stream: False)
    with pytest.raises(RestartError, match=r"TensorRT refused to run double\.plan: no reason"):
        submit(backend, 1)


def test_a_first_run_that_breaks_the_gpu_ends_the_process(tmp_path, device, monkeypatch):
    """To fall back would be no use: nothing in this process gets the GPU again."""

    def fault(*_arguments):
        device.error = "CUDA_ERROR_ILLEGAL_ADDRESS"

    monkeypatch.setattr(TrtEngine, "enqueue", fault)
    with pytest.raises(RestartError, match=r"^The GPU failed .*illegal memory access"):
        open_plan(trt11, plan_file(tmp_path, trt11))
    assert (device.retained, stack()) == (0, [])


def test_a_first_run_that_is_refused_is_another_thing(tmp_path, device, monkeypatch):
    def refuse(*_arguments):
        raise GpuFault("TensorRT refused to run double.plan: no reason given")

    monkeypatch.setattr(TrtEngine, "enqueue", refuse)
    with pytest.raises(FallBackError, match=r"does not run on .*refused.*Delete it"):
        open_plan(trt11, plan_file(tmp_path, trt11))
    assert (device.retained, device.used_bytes, device.pinned) == (0, 0, {})


def test_nothing_in_a_dead_context_is_touched_again(backend, device, monkeypatch):
    device.error = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(RestartError):
        submit(backend, 1)
    assert (device.retained, stack()) == (0, [])
    monkeypatch.setattr(pycuda_driver, "_enter", pytest.fail)
    backend.close()


def test_outputs_stay_readable_through_a_fault(backend, device):
    """Another thread may still read a lent slot when the context goes: the memory is ours."""
    held = submit(backend, 7)
    backend.wait(held)
    device.error = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(RestartError):
        submit(backend, 1)
    assert (held.outputs[0] == 14).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"init_error": "CUDA_ERROR_NO_DEVICE"},
            r"driver does not start \(cuInit failed: no CUDA-capable device.*Check that a GPU is",
        ),
        (
            {"init_error": "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
            r"unsupported display driver.*driver is older than CUDA wants: update it",
        ),
        ({"devices": 0}, r"GPU cannot be opened \(cuDeviceGet failed: invalid device ordinal"),
    ],
)
def test_no_usable_gpu_is_told_in_a_sentence(device, settings, words):
    for name, value in settings.items():
        setattr(device, name, value)
    with pytest.raises(FallBackError, match=words):
        Gpu()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("No module named 'pycuda'", "pycuda is not installed for this Python"),
        ("libcuda.so.1: cannot open shared object file", "The NVIDIA driver is not installed"),
        ("_driver.so: undefined symbol: cuGreenCtxCreate", "older than the CUDA that pycuda was"),
    ],
)
def test_an_import_that_fails_says_what_is_missing(monkeypatch, text, words):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pycuda"):
            raise ImportError(text)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FallBackError, match=words):
        Gpu()


def test_bigger_networks_run_too(tmp_path):
    path = plan_file(tmp_path, trt11, doubling_model(320))
    backend = open_plan(trt11, path, 320, slots=1)
    assert finish(backend, submit(backend, 0.5)) == 1.0
    backend.close()
