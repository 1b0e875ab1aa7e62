"""Worker processes: order, errors, and what Ctrl-C leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_manifests import parallel
from data_manifests.errors import DataError
from data_manifests.parallel import batches, map_in_order

#: Says when both processes are at work, and then works for longer than any machine keeps the test waiting.
SCRIPT = """
import sys, time
from pathlib import Path
from data_manifests.errors import DataError
from data_manifests.parallel import map_in_order

def work(number):
    Path(sys.argv[1], str(number)).touch()
    time.sleep(0.5)
    return number

if __name__ == "__main__":
    list(map_in_order(work, range(1000), 2))
"""


def double(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2])
def test_order_and_errors(workers):
    results = map_in_order(double, range(10), workers)
    assert [next(results) for _ in range(7)] == [0, 2, 4, 6, 8, 10, 12]
    with pytest.raises(ValueError, match="seven"):
        next(results)


def test_batches():
    assert list(batches([])) == []
    assert list(batches((number, 0) for number in range(150))) == [[*range(64)], [*range(64, 128)], [*range(128, 150)]]
    assert list(batches([("a", -5), ("b", 1 << 22), ("c", 1 << 22), ("d", 1)])) == [["a", "b"], ["c"], ["d"]]


def pid(_):
    return os.getpid()


def test_this_process_is_one_of_the_workers():
    at_work = list(map_in_order(pid, range(40), 2))
    assert at_work[0] != os.getpid() and os.getpid() in at_work and len(set(at_work)) == 2
    assert {*map_in_order(pid, range(40), 1)} == {os.getpid()}


class TestAsManyAsSaveTime:
    """``workers=None``; the decision is forced here by the cost of starting a process."""

    @pytest.fixture
    def start(self, monkeypatch):
        def cost(seconds, cpus=2):
            monkeypatch.setattr(parallel, "_START_UP", seconds)
            monkeypatch.setattr(parallel, "available_cpus", lambda: cpus)

        return cost

    def test_alone_where_starting_costs_more(self, start):
        start(1e9)
        assert {*map_in_order(pid, range(40), None)} == {os.getpid()}
        assert list(map_in_order(double, iter(range(5)), None, total=5)) == [0, 2, 4, 6, 8]

    @pytest.mark.parametrize("items", [range(60), iter(range(60))])
    def test_others_where_it_costs_nothing(self, start, items):
        start(1e-9)
        at_work = list(map_in_order(pid, items, None, total=60))
        assert at_work[:3] == [os.getpid()] * 3 and len(at_work) == 60 and len(set(at_work)) == 2

    def test_alone_on_one_processor_and_without_much_left(self, start):
        start(1e-9, cpus=1)
        assert {*map_in_order(pid, range(40), None)} == {os.getpid()}
        start(1e-9)
        assert {*map_in_order(pid, range(3), None)} == {os.getpid()}
        assert {*map_in_order(pid, iter(range(40)), None)} == {os.getpid()}  # an unknown number

    def test_order_and_errors(self, start):
        start(1e-9)
        results = map_in_order(double, range(10), None)
        assert [next(results) for _ in range(7)] == [0, 2, 4, 6, 8, 10, 12]
        with pytest.raises(ValueError, match="seven"):
            next(results)

    @pytest.mark.parametrize(("quota", "most"), [("150000 100000\n", 1), ("max 100000\n", 8), ("", 8)])
    def test_processors_of_a_container(self, monkeypatch, quota, most):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
        monkeypatch.setattr(Path, "read_text", lambda _: quota)
        assert parallel.available_cpus() == most


def die_elsewhere(main_pid):
    if os.getpid() != main_pid:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out


def test_a_killed_worker_is_told():
    with pytest.raises(DataError, match=r"A worker process was killed, .* memory ran out. Give fewer --workers"):
        list(map_in_order(die_elsewhere, [os.getpid()] * 40, 2))


def fail_here(main_pid):
    if os.getpid() == main_pid:
        raise ValueError("here")
    return "elsewhere"


def test_errors_of_this_process_wait_for_their_turn():
    results = map_in_order(fail_here, [os.getpid()] * 40, 2)
    assert next(results) == "elsewhere"
    with pytest.raises(ValueError, match="here"):
        list(results)


def test_items_are_read_only_a_few_ahead_of_the_results():
    read = 0

    def items():
        nonlocal read
        for number in range(10_000):
            read += 1
            yield number + 10

    results = map_in_order(double, items(), 2)
    assert [next(results) for _ in range(3)] == [20, 22, 24]
    assert read < 200
    results.close()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C reaches processes in another way here")
def test_workers_end_without_a_word_after_ctrl_c(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    begun = tmp_path / "begun"
    begun.mkdir()
    command = [sys.executable, str(tmp_path / "script.py"), str(begun)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ | {"PYTHONPATH": str(root)}
    ) as process:
        deadline = time.monotonic() + 120
        while len(list(begun.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, errors = process.communicate(timeout=120)
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")  # of the script alone
    assert len(list(begun.iterdir())) < 1000


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, workers):
    script = SCRIPT.replace("str(number)).touch()", "f'{os.getpid()}').touch()").replace(
        "import sys, time", "import os, sys, time"
    )
    (tmp_path / "script.py").write_text(script.replace("range(1000), 2", f"range(1000), {workers}"))
    begun = tmp_path / "begun"
    begun.mkdir()
    command = [sys.executable, str(tmp_path / "script.py"), str(begun)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}) as process:
        deadline = time.monotonic() + 120
        while len(list(begun.iterdir())) < workers and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    pids = [int(path.name) for path in begun.iterdir()]
    assert len(pids) == workers
    deadline = time.monotonic() + 120
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
