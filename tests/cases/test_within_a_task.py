"""Training within tasks of Dask, as many of them as the cluster has threads, and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import get_client, rejoin, secede, wait, worker_client

from daskpar import Ensemble, InputError, Layout, Trainer
from daskpar.cluster.clients import THREADED

X = np.random.default_rng(0).standard_normal((200, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
TASKS = 3  # on two threads


def fit(**options: Any) -> Trainer:
    return Trainer([{"dense": 2}], batch=50, epochs=1, **options).fit(X, Y)


def own(_: int, **options: Any) -> str:
    return fit(**options).parameters_sha256_


def lanes(_: int) -> str:
    return own(0, layout=Layout(data=2))


def on_the_cluster(_: int) -> str:
    return own(0, client=get_client())


def lanes_on_the_cluster(_: int) -> str:
    return own(0, client=get_client(), layout=Layout(data=2))


def parameter_server(_: int) -> str:
    return own(0, client=get_client(), layout=Layout(data=2, update="stale"))


def profiled(_: int) -> str:
    return own(0, client=get_client(), profile=True)


def by_worker_client(_: int) -> str:
    with worker_client() as client:
        return own(0, client=client)


def threaded(_: int) -> str:
    return own(0, client=THREADED)


def nested(_: int) -> str:
    future = get_client().submit(own, 0, pure=False)
    secede()
    try:
        return future.result()
    finally:
        rejoin()


def ensemble(_: int) -> str:
    members = Ensemble([{"dense": 2}], members=2, batch=50, epochs=1).fit(X, Y).members_
    return members[0].parameters_sha256_


def ensemble_on_the_cluster(_: int) -> str:
    members = Ensemble([{"dense": 2}], members=2, batch=50, epochs=1, client=get_client()).fit(X, Y).members_
    return members[0].parameters_sha256_


def uses(_: int) -> str:
    fitted = fit(client=get_client())
    lazy = fitted.predict(da.from_array(X, chunks=(50, 4)), "classes").compute()
    assert np.array_equal(lazy, fitted.predict(X, "classes"))
    assert fitted.evaluate(X, Y) == fit(client=THREADED).evaluate(X, Y)
    return fitted.parameters_sha256_


WAYS = [own, threaded, nested, on_the_cluster, by_worker_client, profiled, uses, ensemble_on_the_cluster]
WAYS += [ensemble]
CUT = [lanes, lanes_on_the_cluster, parameter_server]


@pytest.mark.parametrize("way", [*WAYS, *CUT], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_more_tasks_than_threads(
    way: Callable[[int], str], kind: str, threads_client: Any, processes_client: Any
) -> None:
    client = {"threads": threads_client, "processes": processes_client}[kind]
    expected = own(0, client=THREADED, layout=Layout(data=2) if way in CUT else None)
    futures = client.map(way, range(TASKS), pure=False)
    wait(futures, timeout=100)
    assert client.gather(futures) == [expected] * TASKS
    assert client.submit(sum, [1, 2], pure=False).result(timeout=100) == 3  # all threads are back


def test_delayed(threads_client: Any) -> None:
    futures = threads_client.compute([dask.delayed(own)(i) for i in range(TASKS)])
    wait(futures, timeout=100)
    assert threads_client.gather(futures) == [own(0, client=THREADED)] * TASKS


class Model:
    def fit(self) -> str:
        return own(0)

    def fit_on_the_cluster(self) -> str:
        return on_the_cluster(0)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_in_an_actor(kind: str, threads_client: Any, processes_client: Any) -> None:
    client = {"threads": threads_client, "processes": processes_client}[kind]
    future = client.submit(Model, actor=True, pure=False)  # the actor goes with it
    actor = future.result()
    expected = own(0, client=THREADED)
    assert actor.fit().result(timeout=100) == expected
    assert actor.fit_on_the_cluster().result(timeout=100) == expected


async def coroutine(_: int) -> str:
    return own(0)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_an_event_loop_is_not_blocked(kind: str, threads_client: Any, processes_client: Any) -> None:
    client = {"threads": threads_client, "processes": processes_client}[kind]
    with pytest.raises(InputError, match="event loop"):
        client.submit(coroutine, 0, pure=False).result(timeout=100)
    with pytest.raises(InputError, match="event loop"):
        client.run(own, 0)


def persisted(_: int, **options: Any) -> str:
    x, y = da.from_array(X, chunks=(50, 4)).persist(), da.from_array(Y, chunks=50).persist()
    return Trainer([{"dense": 2}], batch=50, epochs=1, **options).fit(x, y).parameters_sha256_


def persisted_on_the_cluster(_: int) -> str:
    return persisted(0, client=get_client())


def test_data_that_are_on_the_cluster(threads_client: Any) -> None:
    with pytest.raises(InputError, match=r"the data are persisted on a cluster.*get_client"):
        threads_client.submit(persisted, 0, pure=False).result(timeout=100)
    assert threads_client.submit(persisted_on_the_cluster, 0, pure=False).result(timeout=100)
