"""The main job, as the guide tells it: start, publish, query, watch, kill, restart, fail back, stop."""

import os
import signal
import urllib.request

from case import Asking, ClusterCase, wait_for
from cluster import ROOT

LEFT = "Active downstream process has disconnected [ Process: DemoPipeline.0.rdb.0 ]"
FAILOVER = [
    LEFT,
    "Attempting auto-failover to new process instance [ Process: DemoPipeline.0.rdb.0 ] [ Pipeline: DemoPipeline ]"
    " [ Instance: 0 ] [ New: 1 ]",
    "Validating new instance process is available [ Process Name: DemoPipeline.1.rdb.0 ]",
    "Updating process primary configuration [ Source: DemoPipeline.0.rdb.0 ] [ New: DemoPipeline.1.rdb.0 ]",
]


class Guide(ClusterCase):
    def start(self):
        """Steps 1 to 3, with the words that they promise."""
        self.cluster.make_keys()
        self.assertCode(self.a.run("config", "--check"), 0)
        for host in self.cluster.hosts:
            self.assertCode(host.run("application", "--start-control"), 0)
        for host in self.cluster.hosts:
            wait_for(lambda h=host: "Peer control found [ Peer: " in h.log("deltaControl"), 10, "the peer in the log")
        for host in self.cluster.hosts:
            self.assertCode(host.run("application", "--start-daemon"), 0)
        self.assertCode(self.a.run("process-manager", "--start", "--wait"), 0)
        self.assertCode(self.b.run("process-manager", "--start", "--wait"), 0, "standby")
        for workflow in ("REFINERY_CORE_A", "REFINERY_ENTRYPOINT_0_a", "REFINERY_CORE_B", "REFINERY_ENTRYPOINT_0_b"):
            self.assertCode(self.a.run("workflow", "--start", workflow), 0)
        self.assertCode(self.a.run("pipeline", "--start", "DefaultEntrypoint", "--wait"), 0, "2 of 2")
        self.assertCode(self.a.run("pipeline", "--start", "DemoPipeline", "--wait"), 0)
        self.assertCode(self.a.run("service-class", "--start-template", "refinery-gw-client"), 0)

    def publish(self, batches=5):
        return self.a.ok("publish", "--pipeline", "DemoPipeline", "--table", "DemoTable", "--generate", "1000",
                         "--every", "50ms", "--batches", str(batches))

    def test_the_whole_story(self):
        self.start()
        self.assertIn(f"published number 5 - total 5,000 rows", self.publish().out)
        wait_for(lambda: "5000" in self.a.ok("query", "--pipeline", "DemoPipeline",
                                             "select count(*) as n from DemoTable").out, 10, "5,000 rows")
        routes = self.a.ok("failover", "--status", "--pipeline", "DemoPipeline").out
        self.assertIn("[ DefaultEntrypoint.0.gw.0 ] Primary Routing State:", routes)
        self.assertIn("[ DefaultEntrypoint.1.gw.0 ] Primary Routing State:", routes)
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 0, 10, "instance 0 primary")

        asking = Asking(self.cluster)
        old = self.cluster.kill("DemoPipeline.0.rdb.0")
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 1, 10, "instance 1 primary")
        self.assertEqual(self.cluster.primary_everywhere("hdb.0"), 0)
        self.assertEqual(self.cluster.primary_everywhere("idb.0"), 0)
        self.assert_failover_logged(self.a)

        self.cluster.wait_ready("DemoPipeline.0.rdb.0", other_than=old)
        wait_for(lambda: self.registered("DemoPipeline.0.rdb.0"), 10, "rdb.0 registered again")
        self.assertEqual(self.cluster.primary_everywhere("rdb.0"), 1, "nothing fails back by itself")

        self.a.ok("failover", "--failover", "--pipeline", "DemoPipeline", "--to-instance", "0")
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 0, 10, "instance 0 primary again")
        figures = asking.stop()
        self.assertGreater(figures["answered"], 100)
        self.assertEqual(figures["lost"], 0, figures)
        self.assertEqual(figures["asked"], figures["answered"], figures)
        self.assertEqual(figures.get("wrong", 0), 0, figures)
        answer = self.a.ok("query", "--pipeline", "DemoPipeline", "select count(*) as n from DemoTable")
        self.assertIn("5000", answer.out, "the restarted rdb replayed everything")

        self.a.ok("pipeline", "--stop", "DemoPipeline", "--wait")
        self.a.ok("cluster", "--down", timeout=120)
        wait_for(lambda: not self.cluster.left(), 10, "nothing left running")
        self.assertEqual(self.cluster.memory_links(), [], "what the processes had in memory is gone")
        self.assertCode(self.a.run("cluster", "--down", timeout=120), 0)

    def registered(self, name):
        rows = self.a.ask("failover", "--status", "--pipeline", "DemoPipeline")["routes"]
        mine = [row for row in rows if row["processName"] == name]
        return mine and all(row["registered"] == "yes" for row in mine)

    def assert_failover_logged(self, host):
        """The four lines, in order, with level, process and type, in the log of the gateway there."""
        lines = wait_for(lambda: (found := self.failover_lines(host)) and len(found) >= 4 and found, 5, "the four lines")
        for line, level, words in zip(lines, ("WARN", "INFO", "INFO", "INFO"), FAILOVER):
            self.assertRegex(line, rf"^[^|]+\|{level}\|DefaultEntrypoint\.0\.gw\.0-\d+\|gw\|")
            self.assertTrue(line.endswith(words), line)

    def failover_lines(self, host):
        lines = host.log("DefaultEntrypoint.0.gw.0").splitlines()
        starts = [i for i, line in enumerate(lines) if line.endswith(LEFT)]
        return lines[starts[0]:starts[0] + 4] if starts else []

    def test_with_restart_manual_it_stays_down_until_force_start(self):
        with open(os.path.join(self.a.home, "etc/pipelines/DemoPipeline.yaml"), encoding="utf-8") as file:
            text = file.read()
        self.a.write("pipelines/DemoPipeline.yaml", text.replace("  expose-to-gw: true", "  expose-to-gw: true\n  restart: manual"))
        self.cluster.start_all()
        old = self.cluster.kill("DemoPipeline.0.rdb.0")
        row = wait_for(lambda: (p := self.cluster.process("DemoPipeline.0.rdb.0")) and p["state"] != "ready" and p, 10,
                       "rdb.0 down")
        self.assertIn(row["state"], ("stopped", "failed"))
        answer = self.a.run("pipeline", "--start", "DemoPipeline")
        self.assertCode(answer, 3, "DemoPipeline.0.rdb.0", "--force-start")
        self.a.ok("pipeline", "--force-start", "DemoPipeline", "--instance", "0", "--wait")
        self.cluster.wait_ready("DemoPipeline.0.rdb.0", other_than=old)
        self.assertEqual(self.cluster.primary_everywhere("rdb.0"), 1)

    def test_either_order_of_process_manager_and_workflows_and_hosts(self):
        self.cluster.make_keys()
        for host in (self.b, self.a):
            host.ok("application", "--start-daemon")
            host.ok("application", "--start-control")
        for host in (self.b, self.a):
            host.ok("process-manager", "--start", "--wait")
        self.b.ok("pipeline", "--start", "DefaultEntrypoint", "--wait")
        self.b.ok("pipeline", "--start", "DemoPipeline", "--wait")
        self.assertCode(self.b.run("pipeline", "--start", "DemoPipeline"), 0, "already running: 12 of 12")


class Readme(ClusterCase):
    def test_your_own_program_works_as_the_readme_prints_it(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read().split("```yaml\n")[1].split("```")[0]
        self.cluster.start_core()
        self.a.write("pipelines/Web.yaml", text)
        self.a.ok("config", "--apply")
        self.assertCode(self.a.run("pipeline", "--start", "Web", "--wait"), 0, "2 of 2")
        for host in self.cluster.hosts:
            with urllib.request.urlopen(f"http://{host.address}:8000/", timeout=5) as page:
                self.assertEqual(page.status, 200)
        old = self.cluster.kill("Web.0.server.0")
        self.cluster.wait_ready("Web.0.server.0", other_than=old)


class Signals(ClusterCase):
    def test_a_stopped_program_ends_cleanly_on_sigterm(self):
        self.cluster.start_core()
        for host in self.cluster.hosts:
            for name in ("daemon", "control"):
                pid = host.pid(name)
                os.kill(pid, signal.SIGTERM)
                wait_for(lambda h=host, n=name: h.pid(n) is None, 10, f"{name} ended")
