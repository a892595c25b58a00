"""The demo: plays the guide with the real programs, two hosts on 127.0.0.1 and 127.0.0.2, and measures what a client sees.

  story.py           the whole story, then everything is stopped
  story.py --keep    leaves the cluster up and prints what to try
  story.py --check   the same story as a test: on loopback addresses of its own, ends with `N passed, N failed`
"""

import json
import os
import signal
import subprocess
import sys
import time

from cluster import BIN, Cluster, Timeout, is_port_free, wait_for

PIPELINE = "DemoPipeline"
PORTS = (2001, 2002, 5010, 5011, 41221, 41222, 41223, 41224, 41225)


class Story:
    """Says what it does, does it, and counts what came out as promised."""

    def __init__(self, cluster):
        self.cluster, self.a, self.b = cluster, *cluster.hosts
        self.colour = sys.stdout.isatty()
        self.kept, self.broken = 0, []

    def say(self, words):
        bold, plain = ("\033[1m", "\033[0m") if self.colour else ("", "")
        print(f"\n{bold}{words}{plain}", flush=True)

    def type(self, host, *arguments, show=True, allowed=(0,), timeout=120):
        """Runs a command as an operator would type it on that host, and shows what it prints."""
        quoted = " ".join(f'"{word}"' if " " in word else word for word in arguments)
        print(f"  {host.side.upper()}$ gemel {quoted}", flush=True)
        answer = host.run(*arguments, timeout=timeout)
        if show or answer.code not in allowed:
            for line in (answer.out + answer.err).rstrip().splitlines():
                print("     " + line, flush=True)
        self.promise(answer.code in allowed, f"gemel {quoted}: exit {answer.code}")
        return answer

    def promise(self, is_kept, words):
        if is_kept:
            self.kept += 1
        else:
            self.broken.append(words)
            print(f"     NOT AS PROMISED: {words}", flush=True)

    def wait(self, question, words, seconds=20):
        try:
            wait_for(question, seconds, words)
            self.promise(True, words)
        except Timeout as late:
            self.promise(False, str(late))

    def primary(self, instance):
        return lambda: self.cluster.primary_everywhere("rdb.0", PIPELINE) == instance


def start(story):
    a, b = story.a, story.b
    story.say(f"1. Two hosts: A is {a.address}, B is {b.address}; a home folder each below {story.cluster.folder}")
    story.type(a, "keys", "--create")
    print("     (the folder etc/keys is copied to B)")
    story.cluster.make_keys()
    story.say("2. The layouts of the guide, checked")
    story.type(a, "config", "--check")
    story.say("3. Start: controls, daemons, process managers, workflows, the pipeline")
    for verb in ("--start-control", "--start-daemon"):
        story.type(a, "application", verb)
        story.type(b, "application", verb)
    story.type(a, "process-manager", "--start", "--wait")
    story.type(b, "process-manager", "--start", "--wait")
    for host, name in ((a, "REFINERY_CORE_A"), (a, "REFINERY_ENTRYPOINT_0_a"), (b, "REFINERY_CORE_B"),
                       (b, "REFINERY_ENTRYPOINT_0_b")):
        story.type(host, "workflow", "--start", name)
    story.type(a, "pipeline", "--start", "DefaultEntrypoint", "--wait")
    story.type(a, "pipeline", "--start", PIPELINE, "--wait")
    story.type(a, "service-class", "--start-template", "refinery-gw-client")
    story.type(a, "application", "--status")


def kill_and_back(story):
    a, cluster = story.a, story.cluster
    story.say("4. Publish the same batches to the tp of both instances")
    story.type(a, "publish", "--pipeline", PIPELINE, "--table", "DemoTable", "--generate", "1000", "--every", "200ms",
               "--batches", "7")
    story.say("5. Query through the gateway (pub-mode is timer: rows can be asked for within 100 ms)")
    story.wait(lambda: "7000" in a.run("query", "--pipeline", PIPELINE, "select count(*) from DemoTable").out, "7,000 rows")
    answer = story.type(a, "query", "--pipeline", PIPELINE, "select count(*), max(time) from DemoTable")
    story.promise("7000" in answer.out, "7,000 rows are there")
    story.say("6. Watch: the primary routing state, before the kill")
    story.wait(story.primary(0), "instance 0 is primary")
    story.type(a, "failover", "--status", "--pipeline", PIPELINE)
    story.type(a, "status")

    client = cluster.load("--gateways", ",".join(cluster.gateways()), "--target", f"{PIPELINE}.rdb.0", "--sql",
                          "select count(*) from DemoTable", "--in-flight", "8", "--json", "-")
    time.sleep(1)
    old = cluster.pid_of(f"{PIPELINE}.0.rdb.0")
    story.say(f"7. Kill {PIPELINE}.0.rdb.0 (pid {old}) with SIGKILL, while a client asks without pause")
    os.kill(old, signal.SIGKILL)
    story.wait(story.primary(1), "instance 1 is primary")
    story.type(a, "failover", "--status", "--pipeline", PIPELINE)
    answer = story.type(a, "logs", "--view", "--process", "DefaultEntrypoint.0.gw.0", "--lines", "200", show=False)
    lines = [line for line in answer.out.splitlines() if "downstream" in line or "failover" in line or "Validating" in
             line or "Updating process primary" in line]
    print("\n".join("     " + line for line in lines[-4:]))
    story.promise(len(lines) >= 4, "the gateway's log tells the failover")

    story.say("8. It is back by itself: replayed, registered, and not primary")
    story.wait(lambda: (p := cluster.process(f"{PIPELINE}.0.rdb.0")) and p["state"] == "ready" and int(p["pid"]) != old,
               "rdb.0 of instance 0 is ready again")
    story.type(a, "pipeline", "--force-start", PIPELINE, "--instance", "0", "--wait")
    story.type(a, "failover", "--status", "--pipeline", PIPELINE)
    story.promise(story.primary(1)(), "instance 1 is still primary")

    story.say("9. Fail back, when the operator says so")
    story.type(a, "failover", "--failover", "--pipeline", PIPELINE, "--to-instance", "0")
    story.wait(story.primary(0), "instance 0 is primary again")
    story.type(a, "failover", "--status", "--pipeline", PIPELINE)
    time.sleep(0.5)
    client.send_signal(signal.SIGTERM)
    out, _ = client.communicate(timeout=40)
    figures = json.loads(out.splitlines()[-1])
    story.promise(figures["lost"] == 0 and figures["asked"] == figures["answered"], f"no query was lost: {figures}")
    story.promise(figures.get("wrong", 0) == 0, f"no answer was wrong: {figures}")
    return figures


def stop(story):
    story.say("12. Stop")
    story.type(story.a, "pipeline", "--stop", PIPELINE, "--wait")
    story.type(story.a, "cluster", "--down")
    story.wait(lambda: not story.cluster.left(), "nothing of ours runs any more")


def try_these(story):
    print(f"""
The cluster is up. Try, with
  export GEMEL_HOME={story.a.home} PATH={BIN}:$PATH

  gemel status
  gemel query --pipeline {PIPELINE} "select sym, count(*) from DemoTable group by sym"
  gemel pipeline --status {PIPELINE}
  gemel failover --status --pipeline {PIPELINE}
  gemel logs --view --process DefaultEntrypoint.0.gw.0
  gemel cluster --down                 stops everything
""")


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    addresses = None if mode == "--check" else ("127.0.0.1", "127.0.0.2")
    taken = [f"{address}:{port}" for address in addresses or () for port in PORTS if not is_port_free(address, port)]
    if taken:
        print(f"these addresses are taken: {', '.join(taken)}; end what listens there and start the demo again")
        return 1
    cluster = Cluster(addresses)
    story = Story(cluster)
    kept = False
    try:
        start(story)
        figures = kill_and_back(story)
        kept = mode == "--keep"
        if not kept:
            stop(story)
    finally:
        if not kept:
            left = cluster.close()
            story.promise(not left, f"nothing was left running: {left}")
    print(f"\nqueries asked {figures['asked']:,}, answered {figures['answered']:,}, lost {figures['lost']}, "
          f"longest gap {figures['gap_ms']:.1f} ms")
    if mode == "--check":
        print(f"{story.kept} passed, {len(story.broken)} failed")
    if kept:
        try_these(story)
    return 1 if story.broken else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        sys.exit(main())
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as stopped:
        print(f"stopped: {stopped!r}")
        sys.exit(1)
