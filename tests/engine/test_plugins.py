"""What is mended in Dask: tasks that wait for workers that are gone, and calls that workers keep."""

from collections import Counter

import mumott_dask as md


def calls_kept(dask_worker):
    """Tasks whose call a worker still has, though it needs it no more, and all that are done."""
    done = [task for task in dask_worker.state.tasks.values() if task.state in ("memory", "released")]
    return Counter(kept=sum(task.run_spec is not None for task in done), done=len(done))


def test_workers_keep_no_calls_of_what_is_done(client, scan):
    kept = Counter()

    def watch(step):
        kept.update(sum(client.run(calls_kept).values(), Counter()))

    md.align(scan.chunk(projection=4), method="optical-flow", iterations=3, watch=watch)
    assert kept["done"] > 0
    assert kept["kept"] == 0
