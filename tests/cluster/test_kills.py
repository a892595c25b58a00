"""SIGKILL of each program of ours in turn, under load: no query is lost, and it comes back."""

import os
import signal
import subprocess
import time

from case import Asking, ClusterCase, wait_for


class Kills(ClusterCase):
    def setUp(self):
        super().setUp()
        self.cluster.start_all()
        self.a.ok("publish", "--pipeline", "DemoPipeline", "--table", "DemoTable", "--generate", "100", "--every", "20ms",
                  "--batches", "5")
        wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 0, 20, "instance 0 primary")
        self.asking = Asking(self.cluster)

    def no_query_lost(self):
        figures = self.asking.stop()
        self.assertGreater(figures["answered"], 10, figures)
        self.assertEqual(figures["lost"], 0, figures)
        self.assertEqual(figures.get("wrong", 0), 0, figures)
        return figures

    def kill_process(self, name):
        old = self.cluster.kill(name)
        self.cluster.wait_ready(name, other_than=old)

    def test_each_process_of_the_pipeline(self):
        for kind in ("rdb", "hdb", "idb", "ipdb", "epdb", "tp"):
            for instance in (0, 1):
                self.kill_process(f"DemoPipeline.{instance}.{kind}.0")
        self.no_query_lost()
        answer = self.a.ok("query", "--pipeline", "DemoPipeline", "select count(*) as n from DemoTable")
        self.assertIn("500", answer.out)

    def test_each_gateway(self):
        for instance in (0, 1):
            self.kill_process(f"DefaultEntrypoint.{instance}.gw.0")
            wait_for(lambda: self.cluster.primary_everywhere("rdb.0") == 0, 20, "both gateways routing")
        self.no_query_lost()

    def test_the_leading_control_and_then_the_other(self):
        for _ in range(2):
            leader = wait_for(self.cluster.leader, 10, "a leader")
            pid = leader.pid("control")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda h=leader, p=pid: h.pid("control") not in (None, p), 10, "the control started again")
            wait_for(self.cluster.leader, 10, "a leader")
        self.a.ok("pipeline", "--status", "DemoPipeline")
        self.no_query_lost()

    def test_each_daemon_re_adopts_every_process_and_restarts_none(self):
        for host in self.cluster.hosts:
            before = {name: row["pid"] for name, row in self.cluster.processes().items()}
            os.kill(host.pid("daemon"), signal.SIGKILL)
            wait_for(lambda h=host: h.pid("daemon") is None, 5, "its end")
            host.ok("application", "--start-daemon")
            wait_for(lambda: all(row["state"] == "ready" for row in self.cluster.processes().values()) and
                     len(self.cluster.processes()) == len(before), 20, "all ready again")
            after = {name: row["pid"] for name, row in self.cluster.processes().items()}
            self.assertEqual(after, before)
        self.no_query_lost()

    def test_a_process_that_dies_while_its_daemon_is_away_is_started_again(self):
        victim = self.cluster.pid_of("DemoPipeline.0.rdb.0")
        os.kill(self.a.pid("daemon"), signal.SIGKILL)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: self.a.pid("daemon") is None, 5, "the daemon's end")
        self.a.ok("application", "--start-daemon")
        self.cluster.wait_ready("DemoPipeline.0.rdb.0", other_than=victim)
        self.no_query_lost()

    def test_each_process_manager(self):
        for host in self.cluster.hosts:
            pid = host.pid("procmgr")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda h=host, p=pid: h.pid("procmgr") not in (None, p), 10, "the process manager started again")
        wait_for(lambda: self.a.run("pipeline", "--status", "DemoPipeline").code == 0, 20, "its answers")
        self.no_query_lost()

    def test_a_hung_process_manager_is_replaced_while_a_command_waits_for_it(self):
        leader = wait_for(self.cluster.leader, 10, "a leader")
        pid = leader.pid("procmgr")
        os.kill(pid, signal.SIGSTOP)
        self.a.ok("pipeline", "--stop", "DemoPipeline", "--process", "epdb.0", "--wait")
        self.assertNotEqual(leader.pid("procmgr"), pid)
        self.no_query_lost()

    def test_the_local_forwarder(self):
        self.a.ok("service-class", "--start-template", "refinery-gw-client")
        name = "refinery-gw-client.0.gw-client.0"
        old = wait_for(lambda: (p := self.cluster.process(name)) and p["state"] == "ready" and int(p["pid"]), 20, name)
        os.kill(old, signal.SIGKILL)
        self.cluster.wait_ready(name, other_than=old)
        self.no_query_lost()


class Pair(ClusterCase):
    def test_the_follower_leads_when_the_leaders_control_and_daemon_are_gone_and_nothing_acknowledged_is_lost(self):
        self.cluster.start_all()
        leader = wait_for(self.cluster.leader, 10, "a leader")
        other = self.b if leader is self.a else self.a
        other.ok("pipeline", "--stop", "DemoPipeline", "--process", "epdb.0")
        os.kill(leader.pid("daemon"), signal.SIGKILL)
        os.kill(leader.pid("control"), signal.SIGKILL)
        wait_for(lambda: self.cluster.leader() is other, 15, "the other one leading")
        row = other.ask("pipeline", "--status", "DemoPipeline")
        states = {r["processName"]: r["state"] for r in row["processes"]}
        self.assertEqual(states[f"DemoPipeline.{0 if other is self.a else 1}.epdb.0"], "stopped")
        leader.ok("application", "--start-control")
        leader.ok("application", "--start-daemon")
        wait_for(lambda: all(r["peerState"] == "in sync" for r in other.ask("application", "--status")["control"]), 20,
                 "both in sync")
        self.assertIs(self.cluster.leader(), other, "nothing fails back by itself")

    def test_a_control_that_died_with_its_daemon_runs_again_with_the_next_daemon_unless_it_was_stopped(self):
        self.cluster.start_core()
        old = self.a.pid("control")
        os.kill(self.a.pid("daemon"), signal.SIGKILL)
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.a.pid("daemon") is None and self.a.pid("control") is None, 5, "their end")
        self.a.ok("application", "--start-daemon")
        wait_for(lambda: self.a.pid("control"), 10, "the control, by the daemon")
        os.kill(self.a.pid("daemon"), signal.SIGKILL)
        wait_for(lambda: self.a.pid("daemon") is None, 5, "its end")
        self.a.ok("application", "--stop-control")
        self.a.ok("application", "--start-daemon")
        wait_for(lambda: self.a.pid("procmgr"), 10, "what else the daemon runs")
        self.assertIsNone(self.a.pid("control"), "it was stopped on purpose")

    def test_a_control_whose_restart_a_dead_daemon_owed_is_started_by_the_next_daemon(self):
        self.cluster.start_core()
        while "[ Process: control ] [ From: ready ] [ To: back-off ]" not in self.a.log("deltaDaemon"):
            pid = wait_for(lambda: self.a.pid("control"), 5, "the control")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda p=pid: self.a.log("deltaDaemon").count(f"[ Process: control ] [ Pid: {p} ]"), 5, "its end seen")
        os.kill(self.a.pid("daemon"), signal.SIGKILL)
        wait_for(lambda: self.a.pid("daemon") is None, 5, "the daemon's end")
        self.a.ok("application", "--start-daemon")
        wait_for(lambda: self.a.pid("control"), 10, "the control")

    def test_a_command_right_after_the_end_of_the_leaders_control_and_daemon_is_held_until_the_other_leads(self):
        self.cluster.start_core()
        leader = wait_for(self.cluster.leader, 10, "a leader")
        other = self.b if leader is self.a else self.a
        wait_for(lambda: [r["peerState"] for r in other.ask("application", "--status")["control"]] == ["in sync"] * 2, 10,
                 "both in sync")
        os.kill(leader.pid("daemon"), signal.SIGKILL)
        os.kill(leader.pid("control"), signal.SIGKILL)
        began = time.monotonic()
        answer = other.ok("pipeline", "--status", "DemoPipeline")
        self.assertLess(time.monotonic() - began, 6)
        self.assertEqual(answer.err, "")
        self.assertIs(self.cluster.leader(), other)

    def test_commands_right_after_the_start_are_held_for_the_leader_and_its_process_manager(self):
        self.cluster.make_keys()
        for verb in ("--start-control", "--start-daemon"):
            for host in self.cluster.hosts:
                host.ok("application", verb)
        leader = wait_for(self.cluster.leader, 10, "a leader")
        began = time.monotonic()
        self.assertCode(leader.run("pipeline", "--list"), 1, "no process manager runs")
        self.assertGreater(time.monotonic() - began, 1)
        early = [host.spawn("pipeline", "--list", stdout=subprocess.DEVNULL) for host in self.cluster.hosts * 3]
        leader.ok("process-manager", "--start")
        self.assertEqual([process.wait(10) for process in early], [0] * 6)
        for _ in range(6):
            self.a.ok("pipeline", "--list")

    def test_a_command_at_a_hung_or_killed_process_manager_is_given_to_the_next_one(self):
        self.cluster.start_core()
        leader = wait_for(self.cluster.leader, 10, "a leader")
        for number in (signal.SIGSTOP, signal.SIGKILL):
            pid = wait_for(lambda: leader.pid("procmgr"), 5, "the process manager")
            os.kill(pid, number)
            began = time.monotonic()
            leader.ok("pipeline", "--list")
            self.assertLess(time.monotonic() - began, 5)
            self.assertNotEqual(leader.pid("procmgr"), pid)

    def test_a_revision_reaches_the_other_host_by_itself(self):
        self.cluster.start_core()
        path = os.path.join(self.a.home, "etc/pipelines/DemoPipeline.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.a.write("pipelines/DemoPipeline.yaml", text.replace("DemoPipeline", "SecondPipeline").replace("4122", "4132"))
        os.rename(path, os.path.join(self.a.home, "etc/pipelines/SecondPipeline.yaml"))
        self.a.ok("config", "--apply")
        follower = self.b if self.cluster.leader() is self.a else self.a
        self.cluster.leader().ok("application", "--stop-control")
        wait_for(lambda: self.cluster.leader() is follower, 15, "the follower leading")
        wait_for(lambda: "SecondPipeline" in follower.run("pipeline", "--list").out, 15, "the revision there")

    def test_a_bad_configuration_is_refused_whole(self):
        self.cluster.start_core()
        self.a.write("pipelines/Bad.yaml", "pipeline:\n  name: Bad\n  typ: realtime\n  proc-layout:\n    - all: nowhere\n")
        answer = self.a.run("config", "--apply")
        self.assertEqual(answer.code, 1, repr(answer))
        self.assertRegex(answer.err + answer.out, r"Bad\.yaml:3:3: .*'typ'")
        self.assertIn("nowhere", answer.err + answer.out)
        self.assertNotIn("Bad", self.a.run("pipeline", "--list").out)


class EmptyStore(ClusterCase):
    settings = "discovery-time = 1s"

    def test_a_secondary_without_a_store_waits_for_its_peer_and_makes_no_second_cluster(self):
        self.cluster.start_core()
        for host in self.cluster.hosts:
            host.ok("application", "--stop-control")
        for name in ("control.db", "control.db-wal", "control.db-shm"):
            path = os.path.join(self.b.home, "var/lib", name)
            if os.path.exists(path):
                os.unlink(path)
        before = self.b.log("deltaControl").count("Process manager connected")
        self.b.ok("application", "--start-control")
        wait_for(lambda: "has an empty store and waits for its peer" in self.b.log("deltaControl"), 10, "what it waits for")
        self.assertIsNone(self.cluster.leader())
        began = time.monotonic()
        self.assertCode(self.b.run("pipeline", "--list"), 4, "no control leads", "try again")
        self.assertLess(time.monotonic() - began, 6)
        self.assertLess(self.b.log("deltaControl").count("Process manager connected") - before, 10)
        self.a.ok("application", "--start-control")
        wait_for(lambda: self.cluster.leader() is self.a, 10, "the primary leading")
        wait_for(lambda: [r["peerState"] for r in self.b.ask("application", "--status")["control"]] == ["in sync"] * 2, 10,
                 "both in sync")
