"""Makes the installed broadlink client discover, authenticate at, read and switch simulated INPLUGs and their kin.

usage: broadlink.py <plug2mqtt binary> <expected version of broadlink>

Prints one line per passed check; the first failure ends with a traceback and a non-zero status.
"""

import importlib.metadata
import subprocess
import sys

# This file shares its name with the package: keep its own folder off the path.
sys.path.pop(0)

import broadlink  # noqa: E402
from broadlink import exceptions  # noqa: E402

BROADCAST = "127.255.255.255"
CLIENT = f"broadlink {sys.argv[2]}"
# Kind, type and whether the client reads power from it.
KINDS = {
    "inplug": (0x2716, True),
    "inplug-brief": (0x2716, True),
    "inplug-no-meter": (0x2717, False),
    "inplug-sp3s": (0x947A, True),
}


def demand(truth, what):
    if not truth:
        raise AssertionError(f"{CLIENT}: {what}")


def ok(what):
    print(f"ok {CLIENT}: {what}", flush=True)


def refused(error, what, call, *arguments):
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError(f"{CLIENT}: {what} is not refused with {error.__name__}")


class Shelf:
    """The simulated plugs, one address each."""

    def __init__(self, binary):
        self.plugs = {f"127.0.10.{number}": kind for number, kind in enumerate(KINDS, 1)}
        words = [f"{ip}={kind}" for ip, kind in self.plugs.items()]
        self.process = subprocess.Popen([binary, "simulate", "--free-ports", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        demand(ready[:1] == ["READY"], f"shelf says {ready}")
        self.port = int(dict(word.split("=") for word in ready[1:])["inplug.udp_port"])

    def tell(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        demand(self.process.stdout.readline() == "OK\n", f"the shelf does not understand {line}")

    def close(self):
        self.process.terminate()
        demand(self.process.wait(timeout=10) == 0, "the shelf ended badly")


def check_found(shelf, device):
    ip, port = device.host
    number = int(ip.rsplit(".", 1)[1])
    kind = shelf.plugs[ip]
    demand(port == shelf.port, f"{kind} answers from port {port}")
    demand(device.devtype == KINDS[kind][0], f"{kind} has type {device.devtype:#x}")
    demand(device.mac == bytes([2, 0, 0, 0, 0x27, number]), f"{kind} has the address {device.mac.hex()}")
    demand(device.name == "INPLUG" and not device.is_locked, f"{kind} is {device}")


def discover(shelf):
    found = broadlink.discover(timeout=2, discover_ip_address=BROADCAST, discover_ip_port=shelf.port)
    demand({device.host[0] for device in found} == set(shelf.plugs), f"broadcast finds {found}")
    for device in found:
        check_found(shelf, device)
    ok(f"broadcast discovery finds {', '.join(shelf.plugs.values())}")
    for ip in shelf.plugs:
        check_found(shelf, broadlink.hello(ip, shelf.port, timeout=5))
    ok("unicast discovery finds each of them")
    return {device.host[0]: device for device in found}


def read_and_switch(shelf, kind, device):
    refused(exceptions.AuthorizationError, f"a status of {kind} without a key", device.check_power)
    demand(device.auth() and device.id > 0, f"{kind} gives no key")
    demand(device.get_fwversion() == 29, f"{kind} has firmware {device.get_fwversion()}")
    metered = KINDS[kind][1]
    for on in (True, False, True):
        device.set_power(on)
        demand(device.check_power() is on, f"{kind} does not switch to {on}")
        if metered:
            watts = device.get_energy()
            demand(watts == (18.33 if on else 0), f"{kind} shows {watts} W at {on}")
    power = "18.33 W and 0 W" if metered else "no power"
    ok(f"{kind} gives a key, switches on and off and shows {power}")
    if not metered:
        demand(not hasattr(device, "get_energy"), "the client reads power from a plug without a meter")
        reply = device.send_packet(0x6A, bytes([4]))
        refused(exceptions.CommandNotSupportedError, "the meter", exceptions.check_error, reply[0x22:0x24])
        ok(f"{kind} says that it has no meter")
    ip = device.host[0]
    shelf.tell(f"press {ip} 1")
    demand(device.check_power() is False, f"{kind} hides its button")
    ok(f"{kind} shows a pressed button")
    shelf.tell(f"expire {ip}")
    refused(exceptions.AuthorizationError, "an old key", device.check_power)
    device.auth()
    demand(device.check_power() is False, f"{kind} forgot its relay")
    ok(f"{kind} says that a key has expired, and gives another")


def lock(shelf, kind, device):
    ip, port = device.host
    device.set_name("Büro")
    device.set_lock(True)
    found = broadlink.discover(timeout=1, discover_ip_address=BROADCAST, discover_ip_port=port)
    demand(ip not in {other.host[0] for other in found}, f"{kind} answers a broadcast while it is locked")
    locked = broadlink.hello(ip, port, timeout=5)
    demand(locked.is_locked and locked.name == "Büro", f"{kind} is {locked}")
    refused(exceptions.AuthenticationError, "a key from a locked plug", locked.auth)
    ok(f"{kind} takes a name and a lock, then is silent to broadcasts and gives no key")
    shelf.tell(f"unlock {ip}")
    locked.auth()
    demand(locked.check_power() is False, f"{kind} cannot be read after it was unlocked")
    locked.ping()
    ok(f"{kind} can be used again after it was unlocked")


def main():
    demand(importlib.metadata.version("broadlink") == sys.argv[2], "another version is installed")
    shelf = Shelf(sys.argv[1])
    try:
        for ip, device in discover(shelf).items():
            read_and_switch(shelf, shelf.plugs[ip], device)
            lock(shelf, shelf.plugs[ip], device)
    finally:
        shelf.close()


main()
