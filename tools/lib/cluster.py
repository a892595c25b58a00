"""A cluster of the real programs on this machine: two hosts on two loopback addresses, a home folder each.

Used by the demo, the cluster tests and the benches. Every process that it starts inherits a home folder below one
temporary folder; `close` ends exactly those, by their ids, and says what had been left.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("GEMEL_BUILD", "build/release"))
BIN = os.path.join(BUILD, "bin")

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Timeout(Exception):
    """Something that was waited for did not come."""


def wait_for(question, seconds, what):
    """Asks `question` until it answers something true, and returns that. Raises Timeout with the last answer."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    answer = None
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Timeout(f"waited {seconds} s for {what}; last answer: {answer!r}")
        pause.wait(0.02)


def reap():
    """Collects children that ended, also adopted ones."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


def is_alive(pid):
    """Runs `pid`, and is it no zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_of(folder):
    """Ids and command lines of the living processes whose environment or command line names a path below `folder`."""
    found = {}
    needle = folder.encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                environ = file.read()
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                command = file.read()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if (needle in environ or needle in command) and is_alive(int(entry)):
            found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


class Answer:
    """What a command said."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"gemel {' '.join(self.arguments)} -> {self.code}\n{self.out}{self.err}"


class Host:
    """One host: an address and a home folder."""

    def __init__(self, cluster, side, address):
        self.cluster, self.side, self.address = cluster, side, address
        self.home = os.path.join(cluster.folder, side)

    @property
    def environment(self):
        return {**os.environ, "GEMEL_HOME": self.home, "PATH": f"{BIN}:{os.environ.get('PATH', '')}", "TZ": "UTC"}

    def run(self, *arguments, timeout=60, program="gemel"):
        """Runs a command of the CLI on this host."""
        done = subprocess.run([os.path.join(BIN, program), *arguments], env=self.environment, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        return Answer(arguments, done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments, timeout=60):
        """The same; anything but exit code 0 is an AssertionError with what it said."""
        answer = self.run(*arguments, timeout=timeout)
        assert answer.code == 0, repr(answer)
        return answer

    def ask(self, *arguments, timeout=60):
        """The same, as JSON; any exit code."""
        answer = self.run(*arguments, "--output", "json", timeout=timeout)
        try:
            return answer.json
        except json.JSONDecodeError as mistake:
            raise AssertionError(repr(answer)) from mistake

    def spawn(self, *arguments, program="gemel", **options):
        """Starts a program of ours in the background."""
        return subprocess.Popen([os.path.join(BIN, program), *arguments], env=self.environment,
                                stdin=subprocess.DEVNULL, **options)

    def pid(self, name):
        """The id in run/NAME.pid (control, daemon, procmgr), or None."""
        try:
            with open(os.path.join(self.home, "run", f"{name}.pid"), encoding="utf-8") as file:
                pid = int(file.read().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return pid if is_alive(pid) else None

    def log(self, name):
        """The text of var/log/NAME.log."""
        try:
            with open(os.path.join(self.home, "var/log", f"{name}.log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def write(self, path, content):
        """Writes a file below etc/."""
        target = os.path.join(self.home, "etc", path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(content)


class Cluster:
    """Two hosts. `addresses` None: two loopback addresses of its own, so that no port can clash with another's."""

    def __init__(self, addresses=None, settings="", folder=None, etc=None):
        self.folder = folder or tempfile.mkdtemp(prefix="gemel-")
        if addresses is None:
            net = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}"
            addresses = (f"{net}.1", f"{net}.2")
        self.a, self.b = Host(self, "a", addresses[0]), Host(self, "b", addresses[1])
        self.hosts = (self.a, self.b)
        for host in self.hosts:
            self._lay(host, etc or os.path.join(ROOT, "etc"), settings)
        self.children = []

    def _lay(self, host, etc, settings):
        os.makedirs(host.home, exist_ok=True)
        for part in ("pipelines", "tables", "workflows"):
            shutil.copytree(os.path.join(etc, part), os.path.join(host.home, "etc", part), dirs_exist_ok=True)
        with open(os.path.join(etc, "system.yaml"), encoding="utf-8") as file:
            system = file.read()
        host.write("system.yaml", system.replace("aaa.host.com", self.a.address).replace("bbb.host.com", self.b.address))
        host.write("settings.conf", f"""# this host
host = {host.address}
# the pair
auto-configure-instance-hostname-a = {self.a.address}
auto-configure-instance-hostname-b = {self.b.address}
delta-control-master-hostname = {self.a.address}
delta-control-slave-hostname = {self.b.address}
delta-control-clustering = 1
{settings}""")

    def make_keys(self):
        """As an operator does it by hand: keys are made on A and copied to B."""
        self.a.ok("keys", "--create")
        shutil.copytree(os.path.join(self.a.home, "etc/keys"), os.path.join(self.b.home, "etc/keys"), dirs_exist_ok=True)

    def start_core(self):
        """Keys, controls, daemons and process managers of both hosts."""
        self.make_keys()
        for verb in ("--start-control", "--start-daemon"):
            for host in self.hosts:
                host.ok("application", verb)
        for host in self.hosts:
            host.ok("process-manager", "--start", "--wait")

    def start_all(self, pipeline="DemoPipeline"):
        """The same, with the entrypoints and a pipeline ready."""
        self.start_core()
        self.a.ok("pipeline", "--force-start", "DefaultEntrypoint", "--wait")
        self.a.ok("pipeline", "--force-start", pipeline, "--wait")

    def leader(self):
        """The host whose control leads, or None."""
        for host in self.hosts:
            for row in host.ask("application", "--status", timeout=20).get("control", []):
                if row.get("role") == "leader":
                    return self.a if row["host"] == self.a.address else self.b
        return None

    def processes(self, pipeline="DemoPipeline", host=None):
        """Rows of `pipeline --status` by full name."""
        answer = (host or self.a).ask("pipeline", "--status", pipeline)
        return {row["processName"]: row for row in answer.get("processes", [])}

    def process(self, name):
        return self.processes(name.split(".")[0]).get(name)

    def pid_of(self, name):
        """The id of a ready process."""
        row = wait_for(lambda: (p := self.process(name)) and p["state"] == "ready" and int(p["pid"] or 0) > 0 and p, 30,
                       f"{name} ready")
        return int(row["pid"])

    def kill(self, name):
        """SIGKILL to a process by its full name; returns the id it had."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_ready(self, name, other_than=None, seconds=30):
        """Waits until a process is ready under another id than `other_than`."""
        return wait_for(lambda: (p := self.process(name)) and p["state"] == "ready" and int(p["pid"] or 0) != other_than
                        and p, seconds, f"{name} ready again")

    def routes(self, pipeline="DemoPipeline"):
        """Per gateway: {(type.index): primary instance or None} and the rows."""
        answer = self.a.ask("failover", "--status", "--pipeline", pipeline)
        found = {}
        for row in answer.get("routes", []):
            kind = ".".join(row["processName"].split(".")[2:])
            primaries = found.setdefault(row["gateway"], {})
            primaries.setdefault(kind, None)
            if row["primary"] == "yes":
                primaries[kind] = int(row["pipelineInstance"])
        return found

    def primary_everywhere(self, kind, pipeline="DemoPipeline"):
        """The instance that every gateway uses for rdb.0 (say), or None when they differ or there is none."""
        used = {primaries.get(kind) for primaries in self.routes(pipeline).values()}
        return used.pop() if len(used) == 1 else None

    def gateways(self):
        """Their addresses for clients."""
        return [f"{host.address}:5010" for host in self.hosts]

    def load(self, *arguments, host=None):
        """Starts the load client in the background."""
        load = (host or self.a).spawn(*arguments, program="gemel-load", stdout=subprocess.PIPE, text=True)
        self.children.append(load)
        return load

    def left(self):
        """What still runs."""
        reap()
        return processes_of(self.folder)

    def close(self):
        """Ends what runs, by its id, removes the folder; returns what had to be ended."""
        left = self.left()
        for _ in range(50):
            running = self.left()
            if not running:
                break
            for pid in running:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass
            threading.Event().wait(0.02)
        for child in self.children:
            if child.stdout:
                child.stdout.close()
            try:
                child.wait(timeout=1)
            except (ChildProcessError, subprocess.TimeoutExpired):
                pass
        reap()
        for link in self.memory_links():
            shutil.rmtree(os.path.dirname(link), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return left

    def memory_links(self):
        """Folders on tmpfs hold a link to the home that they belong to: those of this cluster."""
        links = [os.path.join("/dev/shm", name, ".home") for name in os.listdir("/dev/shm") if name.startswith("gemel-")]
        return [link for link in links if os.path.islink(link) and os.readlink(link).startswith(self.folder + "/")]


def is_port_free(address, port):
    """Can `address:port` be bound now?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
