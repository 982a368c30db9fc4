"""Work shared over Ray: order, errors, lost workers and machines."""

import functools
import gzip
import os
import sys
import threading
import time

import pytest

from tests.helpers.submissions import rankings_of, write_all
from yt8m.ensemble.fusion import Fusion, fuse
from yt8m.runtime import cluster
from yt8m.types import InputError

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def machines():
    """A cluster of two machines with two CPUs each, the first of which stays."""
    from ray.cluster_utils import Cluster

    local = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    local.add_node(num_cpus=2)
    yield local
    local.shutdown()


def square(number, *, folder, deaths=()):
    """Its square; a number's worker ends as often as the number stands in ``deaths``."""
    for death in range(deaths.count(number)):
        marker = folder / f"{number}-{death}"
        if not marker.exists():
            marker.touch()
            os._exit(1)
    return number**2


def squares(count, machines, folder, *, deaths):
    task = functools.partial(square, folder=folder, deaths=deaths)
    return list(cluster.map_in_order(task, range(count), address=machines.address, cpus=1))


def test_results_in_order_and_items_read_as_they_are_needed(machines, tmp_path):
    read = []

    def items():
        for number in range(60):
            read.append(number)
            yield number

    task = functools.partial(square, folder=tmp_path)
    results = cluster.map_in_order(task, items(), address=machines.address, cpus=1)
    assert next(results) == 0
    assert len(read) <= 3 * 4
    assert list(results) == [number**2 for number in range(1, 60)]


def meet(_, *, folder, count):
    """The process, when ``count`` of them have come, or after a while."""
    (folder / str(os.getpid())).touch()
    patience = time.monotonic() + 20
    while len(os.listdir(folder)) < count and time.monotonic() < patience:
        time.sleep(0.01)
    return os.getpid()


@pytest.mark.parametrize("cpus, count", [(1, 4), (None, 2)], ids=["a CPU each", "a machine each"])
def test_a_worker_for_each_share(machines, tmp_path, cpus, count):
    task = functools.partial(meet, folder=tmp_path, count=count)
    assert len(set(cluster.map_in_order(task, range(12), address=machines.address, cpus=cpus))) == count


@pytest.mark.slow
def test_lost_workers_are_replaced(machines, tmp_path):
    assert squares(30, machines, tmp_path, deaths=(0, 7, 7, 29)) == [number**2 for number in range(30)]
    assert len(os.listdir(tmp_path)) == 4


def test_an_item_that_ends_every_worker_is_given_up(machines, tmp_path):
    with pytest.raises(InputError, match="3 workers of the Ray cluster were lost at the same task"):
        squares(5, machines, tmp_path, deaths=(3,) * 20)
    assert len(os.listdir(tmp_path)) == 3


def refuse(number, *, folder):
    (folder / str(number)).touch()
    raise InputError(f"a.tfrecord, record {number}: bad")


def test_errors_of_the_task_pass_at_once(machines, tmp_path):
    with pytest.raises(InputError, match="^a.tfrecord, record 4: bad$"):
        list(cluster.map_in_order(functools.partial(refuse, folder=tmp_path), [4], address=machines.address, cpus=1))
    assert os.listdir(tmp_path) == ["4"]


def test_fusing_by_class_writes_the_same_bytes(machines, tmp_path):
    paths = write_all(tmp_path, rankings_of("youtube"))
    fuse(paths, tmp_path / "here.csv", fusion=Fusion((1, 2, 0.5), w0=6.06))
    fuse(paths, tmp_path / "there.csv", fusion=Fusion((1, 2, 0.5), w0=6.06), ray=machines.address)
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "here.csv").read_bytes()))
    with pytest.raises(InputError, match="a.csv.gz is unpacked on this machine alone"):
        fuse([str(tmp_path / "a.csv.gz")], tmp_path / "o.csv", fusion=Fusion((1,)), ray=machines.address)


def environment_of(name):
    return os.environ.get(name), os.environ.get("OMP_NUM_THREADS"), os.getcwd()


def test_workers_stand_where_the_caller_does(machines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"address": machines.address, "environment": {"YT8M_TEST": "set"}}
    assert list(cluster.map_in_order(environment_of, ["YT8M_TEST"], **options)) == [("set", None, str(tmp_path))]


def test_auto_is_the_cluster_of_this_machine(machines, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", machines.address)
    assert list(cluster.map_in_order(slow_square, [3], address="auto")) == [9]


def test_a_cluster_that_is_not_there(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(InputError, match="--ray=127.0.0.1:1 is no running Ray cluster"):
        list(cluster.map_in_order(environment_of, ["HOME"], address="auto"))
    with pytest.raises(InputError, match="--ray=127.0.0.1:1 is no running Ray cluster: start one by `ray start"):
        list(cluster.map_in_order(environment_of, ["HOME"], address="127.0.0.1:1"))
    with pytest.raises(InputError, match="--ray=ray://head: expected HOST:PORT, as in 10.0.0.1:6379, or auto"):
        list(cluster.map_in_order(environment_of, ["HOME"], address="ray://head"))
    assert list(cluster.map_in_order(environment_of, [], address="127.0.0.1:1")) == []


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'yt8m\[ray\]'"):
        list(cluster.map_in_order(environment_of, ["HOME"], address="auto"))


def slow_square(number):
    time.sleep(0.1)
    return number**2


def test_a_lost_machine_leaves_its_items_to_others(machines):
    lost, *_ = machines.worker_nodes
    results = cluster.map_in_order(slow_square, range(60), address=machines.address, cpus=1)
    found = [next(results) for _ in range(10)]
    killer = threading.Thread(target=machines.remove_node, args=(lost,))
    killer.start()
    found += results
    killer.join()
    assert found == [number**2 for number in range(60)]
