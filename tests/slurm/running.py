"""A SLURM of our own on one machine, for tests: controller, two nodes, and munge to vouch for users.

``python tests/slurm/running.py`` runs one until Ctrl-C, to try things by hand.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
NODES, CPUS, GPUS, MEMORY = 2, 8, 4, 8000  # of each node, whatever the machine has; memory in MB
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=60
GresTypes=gpu
NodeName=node[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=long Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=100 State=UP
PartitionName=closed Nodes=ALL MaxTime=INFINITE DefMemPerCPU=100 State=DOWN
"""
# State=DOWN: jobs are queued, and never start.


def missing() -> str | None:
    """Why there can be no SLURM here; None where there can."""
    if os.geteuid() != 0:
        return "a SLURM of the tests' own is started as root"
    absent = [program for program in PROGRAMS if shutil.which(program, path=_PATH) is None]
    return f"{absent[0]} is not installed (.ci/install-system)" if absent else None


@contextlib.contextmanager
def running_slurm() -> Iterator[dict[str, str]]:
    """Run a SLURM as long as the block does; what its commands need in their environment."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        environment = os.environ | {
            "SLURM_CONF": f"{folder}/slurm.conf",
            "PATH": _PATH,
        }
        _configure(folder)
        log = stack.enter_context((folder / "daemons.log").open("a"))
        for line in (
            ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket"]
            + [f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed")],
            ["slurmctld", "-D", "-i"],
            *(["slurmd", "-D", "-N", f"node{number}"] for number in range(1, NODES + 1)),
        ):
            process = subprocess.Popen(line, env=environment, stdout=log, stderr=log, start_new_session=True)
            stack.callback(_end, process)
        _wait_for_nodes(folder, environment)
        yield {name: environment[name] for name in ("SLURM_CONF", "PATH")}
        subprocess.run(
            ["scancel", "--quiet", "--user=root", "--signal=KILL", "--full"], env=environment, check=False
        )
        subprocess.run(["scancel", "--quiet", "--user=root"], env=environment, check=False)


def _configure(folder: Path) -> None:
    (folder / "state").mkdir()
    for number in range(1, NODES + 1):
        (folder / f"node{number}").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    controller, *ports = _free_ports(1 + NODES)
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(
            host=socket.gethostname(),
            controller=controller,
            ports=",".join(map(str, ports)),
            folder=folder,
            nodes=NODES,
            cpus=CPUS,
            gpus=GPUS,
            memory=MEMORY,
        )
    )
    files = [folder / f"gpu{number}" for number in range(GPUS)]
    for file in files:
        os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null: SLURM wants a device
    lines = (f"Name=gpu File={file} Flags=nvidia_gpu_env\n" for file in files)
    (folder / "gres.conf").write_text("".join(lines))
    (folder / "cgroup.conf").write_text("" if _release() < (23, 11) else "CgroupPlugin=disabled\n")


def _release() -> tuple[int, ...]:
    line = ["slurmd", "-V"]
    told = subprocess.run(line, env=os.environ | {"PATH": _PATH}, capture_output=True, text=True, check=True)
    return tuple(int(part) for part in told.stdout.split()[-1].split(".")[:2])


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_for_nodes(folder: Path, environment: dict[str, str]) -> None:
    for _ in range(150):
        asked = subprocess.run(
            ["sinfo", "--noheader", "--partition=long", "--format=%T"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.split() == ["idle"]:
            return
        time.sleep(0.2)
    log = (folder / "daemons.log").read_text()
    raise TimeoutError(f"no SLURM within 30 s: {asked.stdout}{asked.stderr}{log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    with running_slurm() as environment, contextlib.suppress(KeyboardInterrupt):
        print(f"export SLURM_CONF={environment['SLURM_CONF']}", flush=True)
        while True:
            time.sleep(3600)
