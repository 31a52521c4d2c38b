"""What the endurance suites share: a mosquitto, simulated plugs and the bridge, each a process of its own on
127.0.0.0/8, and a look at what they say. Python's standard library and Debian's mosquitto only."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Failed(Exception):
    pass


def demand(holds, what):
    if not holds:
        raise Failed(what)


def wait(what, seconds, look):
    """Waits until look() gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        demand(time.monotonic() < end, f"waited in vain for {what}")
        time.sleep(0.02)


class Broker:
    """A mosquitto that keeps retained messages over restarts."""

    def __init__(self, work):
        self.work, self.port = work, free_port()
        self.store = os.path.join(work, "mosquitto")
        os.makedirs(self.store)
        self.config = os.path.join(work, "mosquitto.conf")
        with open(self.config, "w") as f:
            f.write(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\nuser root\n"
                f"persistence_location {self.store}/\nmax_queued_messages 100000\nlog_dest none\n"
            )
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["mosquitto", "-c", self.config], stderr=subprocess.DEVNULL)

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0

        wait("mosquitto", 10, listens)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def publish(self, topic, payload, retain=False):
        words = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-t", topic, "-m", payload]
        subprocess.run(words + (["-r"] if retain else []), check=True)

    def retained(self, *filters):
        words = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.port), "--retained-only", "-W", "1", "-F", "%t\t%p"]
        for one in filters:
            words += ["-t", one]
        said = subprocess.run(words, capture_output=True, text=True).stdout
        return dict(line.split("\t", 1) for line in said.splitlines())


class Ear:
    """Hears everything on the broker, for as long as that is there, in order."""

    def __init__(self, broker):
        self.broker, self.last, self.count = broker, {}, 0
        self.lock = threading.Lock()
        self.hearers = []
        self.stopping = False
        self.process = None
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.stopping:
            words = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.broker.port), "-q", "1", "-t", "plug2mqtt/#"]
            self.process = subprocess.Popen(
                words + ["-F", "%t\t%p"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
            )
            for line in self.process.stdout:
                topic, _, payload = line.rstrip("\n").partition("\t")
                with self.lock:
                    self.last[topic] = payload
                    self.count += 1
                    for hear in self.hearers:
                        hear(topic, payload)
            self.process.wait()
            time.sleep(0.05)

    def value(self, topic):
        with self.lock:
            return self.last.get(topic)

    def forget(self, topic):
        with self.lock:
            self.last.pop(topic, None)

    def close(self):
        self.stopping = True
        if self.process:
            self.process.kill()


class Plugs:
    """Simulated strips, in a process that outlives the bridge."""

    def __init__(self, binary, kinds, number=1):
        words = [f"{ip}={kind}" for ip, kind in kinds.items()]
        self.process = subprocess.Popen(
            [binary, "simulate", "--number", str(number), "--free-ports", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        ready = self.process.stdout.readline()
        found = re.match(r"READY maxsmart.udp_port=(\d+) maxsmart.http_port=(\d+)", ready)
        demand(found, f"the simulated plugs say {ready!r}")
        self.udp, self.http = int(found[1]), int(found[2])

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        demand(said == "OK", f"{line!r} is answered {said!r}")

    def relays(self, ip):
        """The plug's own truth, asked past the bridge; again while the bridge has the line."""
        for attempt in range(20):
            try:
                with urllib.request.urlopen(f"http://{ip}:{self.http}/?cmd=511", timeout=2) as reply:
                    return [bool(on) for on in json.loads(reply.read())["data"]["switch"]]
            except OSError:
                time.sleep(0.05)
        raise Failed(f"{ip} does not say how it is")

    def close(self):
        self.process.kill()


class Bridge:
    """The program under test."""

    def __init__(self, binary, work, broker, plugs, more=""):
        self.binary, self.process = binary, None
        self.state = os.path.join(work, "state")
        self.config = os.path.join(work, "plug2mqtt.toml")
        self.log = open(os.path.join(work, "bridge.log"), "a")
        with open(self.config, "w") as f:
            f.write(
                f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n[state]\ndirectory = "{self.state}"\n'
                f'[inplug]\nenabled = false\n[maxsmart]\nbroadcast = ["127.255.255.255"]\n'
                f"udp_port = {plugs.udp}\nhttp_port = {plugs.http}\n{more}"
            )

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "run", "--config", self.config], stdout=self.log, stderr=subprocess.STDOUT
        )

    def stop(self, signal):
        self.process.send_signal(signal)
        return self.process.wait(15)


def run(main, name):
    """Runs a suite in a directory of its own, and says how it went."""
    work = tempfile.mkdtemp(prefix="plug2mqtt-")
    began = time.monotonic()
    try:
        main(work)
    except (Failed, subprocess.TimeoutExpired) as why:
        print(f"FAILED: {why}")
        log = os.path.join(work, "bridge.log")
        if os.path.exists(log):
            print("".join(open(log, errors="replace").readlines()[-40:]))
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"== {name}: everything holds, {time.monotonic() - began:.0f} s")
