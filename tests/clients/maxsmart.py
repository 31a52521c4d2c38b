"""Makes the installed maxsmart client discover, read and switch simulated plugs.

usage: maxsmart.py <plug2mqtt binary> <expected version of maxsmart>

Prints one line per passed check; the first failure ends with a traceback and a non-zero status.
"""

import asyncio
import datetime
import importlib.metadata
import subprocess
import sys

# This file shares its name with the package: keep its own folder off the path.
sys.path.pop(0)

import aiohttp  # noqa: E402
import maxsmart.const  # noqa: E402
from maxsmart import MaxSmartDevice, MaxSmartDiscovery  # noqa: E402

BROADCAST = "127.255.255.255"
CLIENT = f"maxsmart {sys.argv[2]}"

# 2.0.5 parses V3 replies only without the prefix that openHAB and mh-maxsmart2 see; 2.1.0 takes both.
V3_STRIPS = {"2.1.0": ["strip-5.11", "strip-5.11-bare"], "2.0.5": ["strip-5.11-bare"]}
KINDS = ["strip-1.30", "plug-1.30", "strip-2.11", "plug-2.11", "strip-3.36", *V3_STRIPS[sys.argv[2]]]
# Answers discovery, but 2.0.5 cannot use it.
UNUSABLE = {"2.1.0": [], "2.0.5": ["strip-5.11"]}[sys.argv[2]]


def demand(truth, what):
    if not truth:
        raise AssertionError(f"{CLIENT}: {what}")


def ok(what):
    print(f"ok {CLIENT}: {what}", flush=True)


class Shelf:
    """The simulated plugs, one address each."""

    def __init__(self, binary, kinds):
        self.plugs = {f"127.0.9.{number}": kind for number, kind in enumerate(kinds, 1)}
        words = [f"{ip}={kind}" for ip, kind in self.plugs.items()]
        self.process = subprocess.Popen([binary, "simulate", "--free-ports", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        demand(ready[:1] == ["READY"], f"shelf says {ready}")
        self.ports = dict(word.split("=") for word in ready[1:])

    def press(self, ip, port):
        self.process.stdin.write(f"press {ip} {port}\n")
        self.process.stdin.flush()
        demand(self.process.stdout.readline() == "OK\n", "the shelf does not know this button")

    def close(self):
        self.process.terminate()
        demand(self.process.wait(timeout=10) == 0, "the shelf ended badly")


def redirect(udp_port, http_port):
    """Replaces the ports and the broadcast address which the client has built in."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "maxsmart":
            for constant, value in (("UDP_PORT", udp_port), ("DEFAULT_TARGET_IP", BROADCAST)):
                if hasattr(module, constant):
                    setattr(module, constant, value)
    original = aiohttp.ClientSession._request

    async def request(self, method, url, **rest):
        scheme, _, host, tail = url.split("/", 3)
        demand(host.startswith("127."), f"the client leaves the loopback network: {url}")
        return await original(self, method, f"{scheme}//{host}:{http_port}/{tail}", **rest)

    aiohttp.ClientSession._request = request


def check_found(kind, ip, number, found):
    family, version, *_ = kind.split("-")
    ports = 6 if family == "strip" else 1
    demand(found["ip"] == ip, f"{kind} has address {found['ip']}")
    demand(found["sn"] == f"SWP{ports}{number:012}", f"{kind} has serial {found['sn']}")
    demand(found["ver"] == version, f"{kind} has version {found['ver']}")
    names = ["Lamp", "Büro", "PORT3", "PORT4", "PORT5", "PORT6"] if kind == "strip-1.30" else []
    demand(found["pname"] == names, f"{kind} has port names {found['pname']}")
    protocol = "unknown" if kind in UNUSABLE else "udp_v3" if version == "5.11" else "http"
    demand(found["protocol"] == protocol, f"{kind} speaks {found['protocol']}")
    demand(found.get("nr_of_ports", ports) == ports, f"{kind} has {found.get('nr_of_ports')} ports")


async def discover(shelf):
    everyone = {found["ip"]: found for found in await MaxSmartDiscovery.discover_maxsmart()}
    demand(set(everyone) == set(shelf.plugs), f"broadcast finds {sorted(everyone)}")
    for number, (ip, kind) in enumerate(shelf.plugs.items(), 1):
        check_found(kind, ip, number, everyone[ip])
    ok(f"broadcast discovery finds {', '.join(shelf.plugs.values())}")
    for number, (ip, kind) in enumerate(shelf.plugs.items(), 1):
        (found,) = await MaxSmartDiscovery.discover_maxsmart(ip=ip)
        check_found(kind, ip, number, found)
        ok(f"unicast discovery finds {kind}, version {found['ver']}, by {found['protocol']}")
    return everyone


async def read_and_switch(shelf, kind, device, ports):
    data = await device.get_data()
    demand(data["switch"] == [1] * ports, f"{kind} shows relays {data['switch']}")
    demand(len(data["watt"]) == ports and abs(data["watt"][0] - 18.33) < 1e-6, f"{kind} shows {data['watt']} W")
    ok(f"{kind} reads {ports} relays and 18.33 W")
    await device.turn_off(1)
    data = await device.get_data()
    demand(data["switch"] == [0] + [1] * (ports - 1) and data["watt"][0] == 0, f"{kind} off shows {data}")
    await device.turn_on(1)
    demand(await device.check_state(1) == 1, f"{kind} does not switch on")
    for state, switch in ((0, device.turn_off), (1, device.turn_on)):
        await switch(0)
        demand(await device.check_state() == [state] * ports, f"{kind} does not switch all to {state}")
    ok(f"{kind} switches one port and all, off and on")
    shelf.press(device.ip, ports)
    demand(await device.check_state(ports) == 0, f"{kind} hides its button")
    shelf.press(device.ip, ports)
    ok(f"{kind} shows a pressed button")


async def extras(kind, device):
    """What the client can do over HTTP only."""
    told = (await device.get_device_time())["time"]
    age = datetime.datetime.now() - datetime.datetime.strptime(told, "%Y-%m-%d,%H:%M:%S")
    demand(abs(age.total_seconds()) < 5, f"{kind} has the time {told}")
    identifiers = await device.get_device_identifiers()
    demand(len(identifiers["cpuid"]) == 24 and identifiers["server"], f"{kind} identifies as {identifiers}")
    ok(f"{kind} tells the time that discovery set and its processor's number")
    if kind != "strip-1.30":
        return
    demand(await device.change_port_name(2, "Flur & Bad 2"), f"{kind} refuses a name")
    names = await device.retrieve_port_names()
    demand((names["Port 1"], names["Port 2"]) == ("Lamp", "Flur & Bad 2"), f"{kind} has the names {names}")
    demand(await device.change_port_name(0, "Büro"), f"{kind} refuses a name for itself")
    (found,) = await MaxSmartDiscovery.discover_maxsmart(ip=device.ip)
    demand((found["name"], found["pname"][1]) == ("Büro", "Flur & Bad 2"), f"{kind} is called {found}")
    ok(f"{kind} takes names for itself and a port and shows them in discovery")
    for type_of_statistics, length in ((0, 24), (1, 31), (2, 12)):
        statistics = await device.get_statistics(1, type_of_statistics)
        demand(len(statistics["watt"]) == length and sum(statistics["watt"]) > 0, f"{kind} has {statistics}")
        together = await device.get_statistics(0, type_of_statistics)
        demand(sum(together["watt"]) > sum(statistics["watt"]), f"{kind} has {together} for all ports")
    ok(f"{kind} gives statistics by hour, day and month, of a port and of all")


async def adaptive_polling(shelf, kind, device, ports):
    """The client's own loop, hurried: it must see a pressed button and a command, calm and in its burst."""
    device.NORMAL_INTERVAL, device.BURST_INTERVAL = 0.2, 0.05
    seen = asyncio.Queue()
    device.register_poll_callback("check", lambda poll: seen.put_nowait((poll["mode"], poll["device_data"]["switch"])))

    async def until(mode, relay):
        while True:
            now, switch = await asyncio.wait_for(seen.get(), 10)
            if now == mode and switch[ports - 1] == relay:
                return

    await device.start_adaptive_polling()
    try:
        await until("normal", 1)
        shelf.press(device.ip, ports)
        await until("normal", 0)
        await device.turn_on(ports)
        device.trigger_burst_mode()
        await until("burst", 1)
        await until("normal", 1)
        demand(device.polling_stats["poll_count"] >= 4, f"{kind} has {device.polling_stats}")
    finally:
        await device.stop_adaptive_polling()
        device.unregister_poll_callback("check")
    ok(f"{kind} bears adaptive polling and shows a button and a command in it")


async def main():
    demand(importlib.metadata.version("maxsmart") == sys.argv[2], "another version is installed")
    shelf = Shelf(sys.argv[1], [*KINDS, *UNUSABLE])
    try:
        redirect(int(shelf.ports["maxsmart.udp_port"]), int(shelf.ports["maxsmart.http_port"]))
        everyone = await discover(shelf)
        for ip, kind in shelf.plugs.items():
            if kind in UNUSABLE:
                continue
            found = everyone[ip]
            device = MaxSmartDevice(ip, protocol=found["protocol"])
            # 2.1.0 leaves the version empty by itself; both need the serial for V3 relay commands.
            device.sn, device.version = found["sn"], found["ver"]
            try:
                await device.initialize_device()
                await read_and_switch(shelf, kind, device, 6 if kind.startswith("strip") else 1)
                await adaptive_polling(shelf, kind, device, 6 if kind.startswith("strip") else 1)
                if found["protocol"] == "http":
                    await extras(kind, device)
            finally:
                await device.close()
    finally:
        shelf.close()


asyncio.run(main())
