"""What the cluster tests share: a test case with a cluster of its own, and a client that never stops asking."""

import json
import os
import shutil
import signal
import subprocess
import unittest

from cluster import Cluster, wait_for  # noqa: F401 (tests take both from here)


class ClusterCase(unittest.TestCase):
    """Makes `self.cluster` before each test; afterwards nothing of it may be left that the test did not allow."""

    settings = ""

    def setUp(self):
        self.cluster = Cluster(settings=self.settings)
        self.a, self.b = self.cluster.hosts
        self.addCleanup(self._close)

    def _close(self):
        if self._failed():
            self._keep_logs()
        self.cluster.close()

    def _failed(self):
        outcome = getattr(self, "_outcome", None)
        result = getattr(outcome, "result", None)
        if result is None:
            return False
        return any(test is self for test, _ in result.failures + result.errors) or not getattr(outcome, "success", True)

    def _keep_logs(self):
        kept = os.path.join("/tmp", "gemel-failed", self.id())
        shutil.rmtree(kept, ignore_errors=True)
        for host in self.cluster.hosts:
            if os.path.isdir(os.path.join(host.home, "var/log")):
                shutil.copytree(os.path.join(host.home, "var/log"), os.path.join(kept, host.side), dirs_exist_ok=True)
        print(f"    logs kept in {kept}")

    def assertCode(self, answer, code, *words):
        """The exit code, and words that the answer must say."""
        self.assertEqual(answer.code, code, repr(answer))
        for word in words:
            self.assertIn(word, answer.out + answer.err, repr(answer))

    def write_pipeline(self, name, text):
        """A pipeline file on A; `config --apply` brings it to both."""
        self.a.write(f"pipelines/{name}.yaml", text)


class Asking:
    """A client that asks without pause until `stop`; then `figures` has what it saw."""

    def __init__(self, cluster, target="DemoPipeline", in_flight=4, sql="select count(*) from DemoTable"):
        self.process = cluster.load("--gateways", ",".join(cluster.gateways()), "--target", f"{target}.rdb.0",
                                    "--sql", sql, "--in-flight", str(in_flight), "--json", "-")
        self.figures = None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.figures = json.loads(out.splitlines()[-1])
        return self.figures
