#!/usr/bin/env python3
"""Two hundred strips, random faults, random commands: memory, files and tasks stay flat.

usage: tests/endurance/soak.py BINARY [SECONDS] [SEED]

Bounds, from the end of a warm-up of a third of the time: resident memory may grow by 1.5 MiB (allocators settle;
a leak of a hundred bytes a poll would be 10 MiB), open files and tasks beyond the plugs' conversations by none, threads
by one (the state file is written by a thread that comes and goes). Needs mosquitto and mosquitto-clients."""

import os
import random
import re
import signal
import sys
import time
import urllib.request

from rig import Bridge, Broker, Ear, Plugs, demand, free_port, run, wait

FLEET = 200
FAULTS = ["off", "hang", "refuse", "delay", "garbage", "truncate", "empty", "oversized"]
GROWTH = 1.5 * 1024


def main(work):
    binary = os.path.abspath(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 180
    dice = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    broker, web = Broker(work), free_port()
    kinds = {f"127.0.32.{n}": "strip-3.36" if n % 2 else "strip-1.30" for n in range(1, FLEET + 1)}
    plugs = Plugs(binary, kinds, number=1)
    ids = {ip: f"maxsmart-swp6{n:012}" for n, ip in enumerate(kinds, 1)}
    ear = Ear(broker)
    more = f'poll_interval = "1s"\ntimeout = "2s"\n[web]\nlisten = "127.0.0.1:{web}"\n'
    bridge = Bridge(binary, work, broker, plugs, more)
    bridge.start()

    def online():
        return sum(ear.value(f"plug2mqtt/{plug}/availability") == "online" for plug in ids.values())

    def figures():
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/metrics", timeout=5) as reply:
            text = reply.read().decode()
        tasks = re.search(r"^plug2mqtt_tasks\{\} ([0-9.]+)$", text, re.M)
        polls = sum(float(n) for n in re.findall(r'polls_total\{.*outcome="ok"\} ([0-9.]+)', text))
        return int(float(tasks[1])), polls

    def status(key):
        with open(f"/proc/{bridge.process.pid}/status") as f:
            return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.M)[1])

    def sample():
        files = len(os.listdir(f"/proc/{bridge.process.pid}/fd"))
        tasks, polls = figures()
        return {"rss": status("VmRSS"), "anon": status("RssAnon"), "files": files, "threads": status("Threads"),
                "tasks": tasks, "polls": polls}

    try:
        wait("all plugs", 30, lambda: online() == FLEET)
        quiet = sample()
        print("quiet:", quiet, flush=True)
        sick, samples = {}, []
        began, shown = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            for _ in range(4):
                ip = dice.choice(list(kinds))
                fault = "none" if ip in sick else dice.choice(FAULTS)
                if fault != "none" and len(sick) >= FLEET // 5:
                    continue
                plugs.tell(f"fault {ip} {fault}")
                sick.pop(ip, None)
                if fault != "none":
                    sick[ip] = fault
            for _ in range(2):
                ip, port = dice.choice(list(kinds)), dice.randrange(1, 7)
                broker.publish(f"plug2mqtt/{ids[ip]}/{port}/set", dice.choice(["ON", "OFF", "TOGGLE"]))
            samples.append(sample())
            minute = int((time.monotonic() - began) // 60)
            if minute > shown:
                shown = minute
                print(f"minute {minute}:", samples[-1], flush=True)
            demand(bridge.process.poll() is None, "the bridge has ended")
            time.sleep(1)
        for ip in list(sick):
            plugs.tell(f"fault {ip} none")
        # A dead plug is tried at least every 30 s.
        wait("all plugs after the faults", 40, lambda: online() == FLEET)
        # Conversations in the air end, and sleeping threads go.
        end = wait("quiet", 30, lambda: settled(sample(), quiet))
        warm = samples[len(samples) // 3:]
        first, last = warm[: max(3, len(warm) // 10)], warm[-max(3, len(warm) // 10):]
        least = {key: min(s[key] for s in first) for key in quiet}
        most = {key: min(s[key] for s in last) for key in quiet}
        print("after a third:", least, "\nat the end:   ", most, "\nquiet again:  ", end, flush=True)
        demand(most["rss"] <= least["rss"] + GROWTH, f"memory grew from {least['rss']} to {most['rss']} KiB")
        demand(most["anon"] <= least["anon"] + GROWTH, f"heap grew from {least['anon']} to {most['anon']} KiB")
        ceiling = {key: max(s[key] for s in samples) for key in quiet}
        demand(ceiling["files"] <= quiet["files"] + FLEET, f"{ceiling['files']} files are open")
        demand(ceiling["threads"] <= quiet["threads"] + 2, f"{ceiling['threads']} threads run")
        demand(end["polls"] > quiet["polls"] + seconds * FLEET // 2, "too few polls were made")
        health = ear.value("plug2mqtt/bridge/health")
        demand(health and '"online":' in health, "no health")
    finally:
        ear.close()
        if bridge.process.poll() is None:
            bridge.stop(signal.SIGKILL)
        plugs.close()
        broker.stop()


def settled(now, quiet):
    """No file, thread or task more than before; a poll or two may be in the air."""
    same = now["files"] <= quiet["files"] + 4 and now["threads"] <= quiet["threads"] + 1
    return now if same and now["tasks"] <= quiet["tasks"] + 4 else None


run(main, "soak")
