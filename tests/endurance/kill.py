#!/usr/bin/env python3
"""Kills the bridge at random moments, while commands and polls run, and looks what is left.

usage: tests/endurance/kill.py BINARY [ROUNDS] [SEED]

Every round: commands, a random wait, kill -9 or SIGTERM, commands to nobody (some retained), sometimes a state file
that is gone or torn or a broker that restarts, a new start. Demanded: no energy lower than told before, no plug lost, no
relay moved but by a command of this round, the will spoken, no retained command left. In rounds of their own the bridge
is killed around the result of a timed command, or of one that cancels its return: ports go back then, and what was
cancelled does not, also when the newest state file is cut in half. Needs mosquitto and mosquitto-clients. Traffic stays
within 127.0.0.0/8."""

import json
import os
import random
import signal
import sys
import time

from rig import Bridge, Broker, Ear, Failed, Plugs, demand, run, wait

KINDS = {"127.0.31.1": "strip-1.30", "127.0.31.2": "strip-2.11", "127.0.31.3": "strip-3.36"}
MORE = """poll_interval = "300ms"
burst_interval = "200ms"
timeout = "1s"
[discovery]
interval = "2s"
[publish]
heartbeat = "1s"
energy_change = 0.0001
[commands]
timeout = "3s"
"""


class Meters:
    """Every energy topic, which must never fall."""

    def __init__(self):
        self.most, self.fallen, self.told = {}, None, 0

    def hear(self, topic, payload):
        if topic.endswith("/energy") and payload:
            kwh = float(payload)
            self.told += 1
            if kwh < self.most.get(topic, 0.0) and not self.fallen:
                self.fallen = f"{topic} fell from {self.most[topic]} to {kwh}"
            self.most[topic] = max(kwh, self.most.get(topic, 0.0))


def main(work):
    binary = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    dice = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    broker = Broker(work)
    plugs = Plugs(binary, KINDS, number=31)
    ids = {ip: f"maxsmart-swp6{31 + n:012}" for n, ip in enumerate(KINDS)}
    for ip in KINDS:
        for port, watts in enumerate([2000, 60, 0, 400, 3, 900], 1):
            plugs.tell(f"load {ip} {port} {watts}")
    ear, meters = Ear(broker), Meters()
    ear.hearers.append(meters.hear)
    bridge = Bridge(binary, work, broker, plugs, MORE)
    commands = ghosts = 0

    def all_there():
        online = all(ear.value(f"plug2mqtt/{plug}/availability") == "online" for plug in ids.values())
        return online and ear.value("plug2mqtt/bridge/state") == "online"

    def start():
        for plug in ids.values():
            ear.forget(f"plug2mqtt/{plug}/availability")
        ear.forget("plug2mqtt/bridge/state")
        bridge.start()
        wait("the bridge and all plugs", 20, all_there)

    def truth():
        return {ip: plugs.relays(ip) for ip in KINDS}

    results = {}

    def hear(topic, payload):
        if topic.endswith("/response") and payload and "/bridge/" not in topic:
            result = json.loads(payload)
            results[result["id"]] = result["status"]

    ear.hearers.append(hear)

    def command(ip, port, mark, more):
        broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", json.dumps({"state": "ON", "id": mark, **more}))

    def ended(mark):
        wait(f"the result of {mark}", 10, lambda: mark in results)
        demand(results[mark] == "ok", f"{mark} ended as {results[mark]}")

    def timed(number, cancels):
        """A port that is on for two seconds, and a kill -9 somewhere around its result."""
        ip, port = dice.choice(list(KINDS)), dice.randrange(6)
        broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", "OFF")
        wait("a dark port", 5, lambda: not plugs.relays(ip)[port])
        time.sleep(0.3)
        command(ip, port, number, {"for_s": 2})
        if cancels:
            ended(number)
            command(ip, port, f"{number}, cancelled", {})
            ended(f"{number}, cancelled")
        elif dice.random() < 0.7:
            ended(number)
        time.sleep(dice.uniform(0.0, 0.45))
        bridge.stop(signal.SIGKILL)
        moved = plugs.relays(ip)[port]
        state = os.path.join(bridge.state, "state.json")
        if cancels and dice.random() < 0.5:
            os.truncate(state, os.path.getsize(state) // 2)
        start()
        if cancels:
            time.sleep(3)
            demand(plugs.relays(ip)[port], f"{number}: a cancelled return came back")
        elif moved:
            wait(f"{number}: the port to go back", 8, lambda: not plugs.relays(ip)[port])

    start()
    try:
        for number in range(1, rounds + 1):
            before = truth()
            wanted = {ip: [set() for _ in range(6)] for ip in KINDS}
            for _ in range(dice.randrange(5)):
                ip, port, on = dice.choice(list(KINDS)), dice.randrange(6), dice.random() < 0.5
                word = "ON" if on else "OFF"
                form = dice.randrange(3)
                if form == 0:
                    broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", word)
                elif form == 1:
                    broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", f'{{"state":"{word}","ttl_ms":500}}')
                else:
                    other = (port + 1) % 6
                    broker.publish(f"plug2mqtt/{ids[ip]}/set", f'{{"ports":{{"{port + 1}":"{word}","{other + 1}":"{word}"}}}}')
                    wanted[ip][other].add(on)
                wanted[ip][port].add(on)
                commands += 1
            time.sleep(dice.uniform(0.0, 1.5))

            hard = dice.random() < 0.5
            ear.forget("plug2mqtt/bridge/state")
            code = bridge.stop(signal.SIGKILL if hard else signal.SIGTERM)
            demand(code == (-signal.SIGKILL if hard else 0), f"round {number}: the bridge ended with {code}")
            wait("the word that it is offline", 5, lambda: ear.value("plug2mqtt/bridge/state") == "offline")
            after = truth()
            for ip in KINDS:
                for port in range(6):
                    legal = {before[ip][port]} | wanted[ip][port]
                    demand(after[ip][port] in legal, f"round {number}: {ip} port {port + 1} moved and nobody asked")

            # Nobody is there to obey these, now or later.
            for _ in range(dice.randrange(3)):
                ip, port = dice.choice(list(KINDS)), dice.randrange(6)
                word = "OFF" if after[ip][port] else "ON"
                broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", word, retain=dice.random() < 0.7)
                ghosts += 1
            state = os.path.join(bridge.state, "state.json")
            mishap = dice.randrange(40)
            if mishap == 0:
                for name in os.listdir(bridge.state):
                    os.remove(os.path.join(bridge.state, name))
            elif mishap == 1 and os.path.exists(state):
                os.truncate(state, dice.randrange(os.path.getsize(state)))
            elif mishap == 2 and os.path.exists(state):
                with open(state, "r+b") as f:
                    f.seek(dice.randrange(os.path.getsize(state)))
                    f.write(b"\x00")
            elif mishap == 3:
                broker.stop()
                broker.start()
            if dice.random() < 0.3:
                time.sleep(dice.uniform(0.0, 0.5))
            start()
            demand(truth() == after, f"round {number}: a command of before was obeyed after the start")
            ip, port = dice.choice(list(KINDS)), dice.randrange(6)
            on = not after[ip][port]
            broker.publish(f"plug2mqtt/{ids[ip]}/{port + 1}/set", "ON" if on else "OFF")
            wait(f"{ip} port {port + 1} to obey", 5, lambda: plugs.relays(ip)[port] == on)
            word = "ON" if on else "OFF"
            wait("its state", 5, lambda: ear.value(f"plug2mqtt/{ids[ip]}/{port + 1}/state") == word)
            demand(meters.fallen is None, f"round {number}: {meters.fallen}")
            if "--verbose" in sys.argv:
                print(f"round {number}: {'kill -9' if hard else 'SIGTERM'}, mishap {mishap}", flush=True)
        for number in range(1, max(rounds // 5, 3) + 1):
            timed(f"timed round {number}", number % 3 == 0)
        left = broker.retained("plug2mqtt/+/set", "plug2mqtt/+/+/set")
        demand(not left, f"retained commands are left: {left}")
        energy = wait_for_sums(ear, ids)
        demand(meters.told > rounds, f"energy was told {meters.told} times only")
        print(f"{rounds} rounds, {commands} commands, {ghosts} to nobody, energy told {meters.told} times, now {energy:.4f} kWh")
    finally:
        ear.close()
        if bridge.process.poll() is None:
            bridge.stop(signal.SIGKILL)
        plugs.close()
        broker.stop()


def wait_for_sums(ear, ids):
    """What the ports of a strip show adds up to what the strip shows."""

    def adds_up():
        whole = 0.0
        for plug in ids.values():
            total = float(ear.value(f"plug2mqtt/{plug}/energy"))
            ports = sum(float(ear.value(f"plug2mqtt/{plug}/{port}/energy")) for port in range(1, 7))
            if abs(total - ports) > 1e-6:
                return None
            whole += total
        return whole

    return wait("ports that add up", 5, adds_up)


run(main, "kill")
