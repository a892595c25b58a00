"""What a process, a port, a client or a stranger can do wrong, each with what must then be true."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys

from case import Asking, ClusterCase, wait_for
from cluster import BIN, is_alive, processes_of

SERVICE = """pipeline:
  name: "Odd"
  type: "service"
  proc-layout:
    -
      all: primary-server
  processes:
    one:
      command: {command}
{more}"""


class OddProcesses(ClusterCase):
    """Plain commands that misbehave."""

    def start_odd(self, script=None, command=None, more="", wait=True):
        command = command or json.dumps(["/bin/sh", "-c", script])
        self.cluster.start_core()
        self.write_pipeline("Odd", SERVICE.format(command=command, more=more))
        self.a.ok("config", "--apply")
        answer = self.a.run("pipeline", "--start", "Odd", *(["--wait", "--timeout", "15s"] if wait else []))
        return answer

    def odd(self):
        return self.cluster.processes("Odd").get("Odd.0.one.0")

    def test_a_child_that_exits_at_once_is_restarted_with_back_off_and_says_why(self):
        self.start_odd("echo last words >&2; exit 7", wait=False)
        row = wait_for(lambda: (p := self.odd()) and p["state"] == "back-off" and int(p["restarts"]) >= 3 and p, 20,
                       "the back-off")
        self.assertIn("7", row["why"])
        self.assertIn("last words", self.a.log("Odd.0.one.0"))
        self.a.ok("pipeline", "--stop", "Odd", "--wait")

    def test_a_run_folder_that_somebody_swept_away_is_made_again(self):
        self.start_odd("exec sleep 1000")
        with open(f"/proc/{self.odd()['pid']}/environ", "rb") as file:
            run = [line[10:].decode() for line in file.read().split(b"\0") if line.startswith(b"GEMEL_RUN=")][0]
        self.a.ok("pipeline", "--stop", "Odd", "--wait")
        shutil.rmtree(os.path.dirname(run))
        self.a.ok("pipeline", "--start", "Odd", "--wait", "--timeout", "10s")
        self.assertTrue(os.path.isdir(run))

    def test_exit_code_125_is_permanent_until_force_start(self):
        self.start_odd("exit 125", wait=False)
        wait_for(lambda: (p := self.odd()) and p["state"] == "failed", 20, "failed")
        answer = self.a.run("pipeline", "--start", "Odd")
        self.assertIn(answer.code, (0, 3), repr(answer))
        self.assertEqual(self.odd()["state"], "failed")

    def test_a_child_that_ignores_sigterm_is_killed_after_its_stop_timeout(self):
        self.start_odd("trap '' TERM; echo up; while :; do sleep 1; done", more="      stop-timeout: 300ms\n")
        pid = int(self.odd()["pid"])
        self.a.ok("pipeline", "--stop", "Odd", "--wait")
        wait_for(lambda: not is_alive(pid), 5, "its end")
        self.assertEqual(self.odd()["state"], "stopped")

    def test_grandchildren_do_not_outlive_their_process(self):
        marker = os.path.join(self.cluster.folder, "grandchild")
        self.start_odd(f"sh -c 'trap \"\" TERM; : {marker}; sleep 1000' & setsid sh -c ': {marker}; sleep 1000' & wait",
                       more="      stop-timeout: 300ms\n")
        wait_for(lambda: len(self.grandchildren(marker)) >= 2, 10, "two grandchildren")
        self.a.ok("pipeline", "--stop", "Odd", "--wait")
        wait_for(lambda: not self.grandchildren(marker), 10, "their end")

    @staticmethod
    def grandchildren(marker):
        return [pid for pid, command in processes_of(marker).items() if command.startswith("sh -c")]

    def test_a_flooding_log_costs_neither_the_daemon_nor_the_others(self):
        self.start_odd("echo begin; yes 0123456789012345678901234567890123456789")
        pid = self.a.pid("daemon")
        wait_for(lambda: len(self.a.log("Odd.0.one.0")) > 1_000_000, 20, "a megabyte of log")
        answer = self.a.ok("application", "--status", timeout=5)
        self.assertIn(self.a.address, answer.out)
        self.assertEqual(self.a.pid("daemon"), pid)
        self.a.ok("pipeline", "--stop", "Odd", "--wait")

    def test_a_missing_executable_is_named_with_its_reason(self):
        self.start_odd(command='["/nowhere/to/be/found"]', wait=False)
        row = wait_for(lambda: (p := self.odd()) and "/nowhere/to/be/found" in p["why"] and p, 20, "the reason")
        self.assertRegex(row["why"].lower(), "no such file or directory")

    def test_a_taken_port_is_named(self):
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind((self.a.address, 41222))
        taken.listen(1)
        self.cluster.start_core()
        self.a.run("pipeline", "--start", "DemoPipeline")
        row = wait_for(lambda: (p := self.cluster.process("DemoPipeline.0.rdb.0")) and int(p["restarts"]) >= 1 and p, 20,
                       "a restart of rdb.0")
        words = row["why"] + self.a.log("DemoPipeline.0.rdb.0")
        self.assertIn("41222", words)
        self.assertIn("in use", words)
        taken.close()
        self.cluster.wait_ready("DemoPipeline.0.rdb.0", seconds=40)

    def test_a_plain_command_is_ready_when_its_port_opens(self):
        server = ("import signal,socket; s=socket.socket(); s.setsockopt(1,2,1); "
                  f"s.bind(('{self.a.address}', 7777)); s.listen(); signal.pause()")
        answer = self.start_odd(command=json.dumps([sys.executable, "-c", server]),
                                more="      port: 7777\n      ready: {tcp-port: 7777}\n")
        self.assertCode(answer, 0)
        self.assertEqual(self.odd()["state"], "ready")
        socket.create_connection((self.a.address, 7777), timeout=5).close()


class Strangers(ClusterCase):
    """Garbage and vanishing clients."""

    def test_garbage_on_every_port_ends_no_program_and_no_query(self):
        self.cluster.start_all()
        asking = Asking(self.cluster)
        before = self.programs()
        chance = random.Random(1)
        ports = self.listening_ports()
        self.assertGreaterEqual(len(ports), 12, ports)
        for address, port in ports:
            for size in (1, 31, 32, 33, 4000, 100_000):
                self.send_garbage(address, port, chance.randbytes(size))
            self.send_garbage(address, port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            # a frame header that promises 16 MiB, and a right magic with a wrong checksum
            self.send_garbage(address, port, bytes.fromhex("474d0104ffffff00") + bytes(24))
        figures = asking.stop()
        self.assertEqual(figures["lost"], 0, figures)
        self.assertEqual(before - self.programs(), set(), "programs that ended")

    def programs(self):
        return {pid for pid, command in self.cluster.left().items() if "gemel-" in command and "load" not in command}

    def listening_ports(self):
        """TCP sockets in state LISTEN on this cluster's addresses."""
        found = set()
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                number, port = local.split(":")
                address = socket.inet_ntoa(bytes.fromhex(number)[::-1])
                if state == "0A" and address in (self.a.address, self.b.address):
                    found.add((address, int(port, 16)))
        return sorted(found)

    @staticmethod
    def send_garbage(address, port, content):
        try:
            with socket.create_connection((address, port), timeout=2) as stranger:
                stranger.sendall(content)
                stranger.settimeout(0.05)
                try:
                    stranger.recv(4096)
                except (TimeoutError, OSError):
                    pass
        except OSError:
            pass  # closed on us: that is its right

    def test_a_client_that_vanishes_in_mid_query_leaves_nothing_behind(self):
        self.cluster.start_all()
        slow = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000000) select max(i) from n"
        for _ in range(3):
            client = self.a.spawn("query", "--pipeline", "DemoPipeline", slow, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
            wait_for(lambda: self.busy("DemoPipeline.0.rdb.0"), 10, "a busy rdb")
            os.kill(client.pid, signal.SIGKILL)
            client.wait()
            wait_for(lambda: not self.busy("DemoPipeline.0.rdb.0"), 10, "its end")
        self.a.ok("query", "--pipeline", "DemoPipeline", "select count(*) from DemoTable")

    def busy(self, name):
        rows = self.a.ask("failover", "--status", "--pipeline", "DemoPipeline")["routes"]
        return any(row["processName"] == name and row["busy"] == "yes" for row in rows)


class Refused(ClusterCase):
    """What writes, reads other files or comes from elsewhere."""

    def test_a_query_that_writes_is_refused(self):
        self.cluster.start_all()
        for sql in ("delete from DemoTable", "drop table DemoTable", "attach 'x.db' as x", "pragma user_version = 3",
                    "select load_extension('x')", "insert into DemoTable values (1,2,3,4)", "not sql at all"):
            answer = self.a.run("query", "--pipeline", "DemoPipeline", sql)
            self.assertEqual(answer.code, 1, repr(answer))
            self.assertEqual(len(answer.err.strip().splitlines()), 1, repr(answer))
        self.a.ok("query", "--pipeline", "DemoPipeline", "select count(*) from DemoTable")

    def test_a_key_that_is_not_known_gets_no_answer(self):
        self.cluster.start_core()
        stranger = os.path.join(self.cluster.folder, "stranger")
        self.a.ok("application", "--status")
        os.makedirs(stranger)
        subprocess.run(["cp", "-r", os.path.join(self.a.home, "etc"), stranger], check=True)
        subprocess.run(["rm", "-r", os.path.join(stranger, "etc/keys")], check=True)
        own, self.a.home = self.a.home, stranger
        try:
            self.a.ok("keys", "--create")
            answer = self.a.run("pipeline", "--start", "DemoPipeline", timeout=60)
            self.assertEqual(answer.code, 4, repr(answer))
        finally:
            self.a.home = own

    def test_an_address_that_is_not_loopback_is_refused_for_the_data_plane(self):
        with open(os.path.join(self.a.home, "etc/settings.conf"), encoding="utf-8") as file:
            text = file.read()
        self.a.write("settings.conf", text.replace(self.b.address, "192.0.2.7"))
        self.assertCode(self.a.run("config", "--check"), 0, "192.0.2.7", "loopback")
        done = subprocess.run([os.path.join(BIN, "gemel-example-client"), "DemoPipeline", "select 1"], timeout=60,
                              env={**os.environ, "GEMEL_GATEWAYS": "192.0.2.7:5010"}, capture_output=True, text=True,
                              check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("loopback", done.stderr)


class Unserved(ClusterCase):
    """Queries and routes while no process is there for them."""

    def test_a_query_that_nobody_serves_ends_in_time_and_says_why_and_force_orders_for_later(self):
        self.cluster.start_all()
        self.a.ok("pipeline", "--stop", "DemoPipeline", "--process", "rdb.0", "--wait")
        query = ("query", "--pipeline", "DemoPipeline", "select count(*) from DemoTable")
        self.assertCode(self.a.run(*query, "--timeout", "300ms"), 5, "no process of DemoPipeline.rdb.0 was available",
                        "DemoPipeline.0.rdb.0: stopped", "DemoPipeline.1.rdb.0: stopped")
        move = ("failover", "--failover", "--pipeline", "DemoPipeline", "--to-instance", "1")
        self.assertCode(self.a.run(*move), 6, "--force")
        self.assertCode(self.a.run(*move, "--force"), 0, "as soon as")
        waiting = self.a.spawn(*query, "--timeout", "30s", stdout=subprocess.PIPE, text=True)
        self.a.ok("pipeline", "--force-start", "DemoPipeline", "--wait")
        out, _ = waiting.communicate(timeout=30)
        self.assertEqual(waiting.returncode, 0, out)
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 1, 10, "the forced route")

    def test_a_publisher_that_does_not_reach_every_tp_gives_up_after_its_timeout(self):
        self.cluster.start_all()
        self.a.ok("pipeline", "--stop", "DemoPipeline", "--process", "tp.0", "--instance", "1", "--wait")
        answer = self.a.run("publish", "--pipeline", "DemoPipeline", "--table", "DemoTable", "--generate", "10",
                            "--batches", "1", "--timeout", "300ms")
        self.assertCode(answer, 5, "DemoPipeline.1.tp.0 was not reached within 300 ms", "not running")

    def test_force_moves_to_a_stale_instance_at_once(self):
        self.cluster.start_all()
        self.a.ok("pipeline", "--stop", "DemoPipeline", "--process", "tp.0", "--instance", "1", "--wait")
        move = ("failover", "--failover", "--pipeline", "DemoPipeline", "--to-instance", "1")
        wait_for(lambda: "stale: tp down" in self.a.run(*move).err, 5, "the refusal")
        self.a.ok(*move, "--force")
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 1, 5, "the forced route")
