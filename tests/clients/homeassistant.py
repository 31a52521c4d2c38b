"""Makes Home Assistant, the real one, show simulated plugs and count their energy.

usage: homeassistant.py <plug2mqtt binary>

Runs Home Assistant's core with its integrations mqtt, recorder and energy in this process, beside mosquitto, the
bridge and simulated plugs, all on loopback. Prints one line per passed check; the first failure ends with a traceback
and a non-zero status.
"""

import asyncio
import contextlib
import datetime
import importlib
import ipaddress
import json
import logging
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# This file shares its name with the package: keep its own folder off the path.
sys.path.pop(0)

import homeassistant.const  # noqa: E402
import paho.mqtt.client as paho  # noqa: E402
from homeassistant import auth, bootstrap, config_entries, core, loader  # noqa: E402
from homeassistant.components.recorder import Recorder, get_instance  # noqa: E402
from homeassistant.components.recorder.statistics import statistics_during_period  # noqa: E402
from homeassistant.components.recorder.tasks import StatisticsTask  # noqa: E402
from homeassistant.helpers import device_registry, entity_registry  # noqa: E402
from homeassistant.helpers.recorder import async_initialize_recorder  # noqa: E402
from homeassistant.setup import async_setup_component  # noqa: E402
from homeassistant.util import dt as dt_util  # noqa: E402
from homeassistant.util import slugify  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402

RELEASE = homeassistant.const.__version__
STRIP, PLUG = "maxsmart-swp6000000000001", "maxsmart-swp1000000000002"
STRIP_IP, PLUG_IP = "127.0.9.21", "127.0.9.22"
PLUGS = {STRIP: "Lab strip", PLUG: "Lab plug"}
STRIP_PORTS = ["Lamp", "Büro", "PORT3", "PORT4", "PORT5", "PORT6"]
BRIDGE = "plug2mqtt_bridge_plug2mqtt"
FIVE_MINUTES = datetime.timedelta(minutes=5)

# What is announced: key to platform, device class, unit, state class, shown at first, name. A new entity is a new line.
# In names {port} is the port's; where the port is a device, or all there is, its entities have the second name.
OF_EACH_PORT = {
    "switch": ("switch", "outlet", None, None, True, "{port}", None),
    "power": ("sensor", "power", "W", "measurement", True, "{port} power", "Power"),
    "energy": ("sensor", "energy", "kWh", "total_increasing", True, "{port} energy", "Energy"),
    "energy_today": ("sensor", "energy", "kWh", "total_increasing", False, "{port} energy today", "Energy today"),
    "energy_month": ("sensor", "energy", "kWh", "total_increasing", False, "{port} energy this month", "Energy this month"),
    "current": ("sensor", "current", "A", "measurement", False, "{port} current", "Current"),
    "countdown": ("number", "duration", "min", None, True, "{port} turn off in", "Turn off in"),
    "countdown_end": ("sensor", "timestamp", None, None, True, "{port} turns off at", "Turns off at"),
}
OF_EACH_PLUG = {
    "presence_simulation": ("switch", None, None, None, True, "Presence simulation"),
    "clock_drift": ("sensor", "duration", "s", "measurement", True, "Clock drift"),
    "problem": ("binary_sensor", "problem", None, None, True, "Problem"),
    "latency": ("sensor", "duration", "ms", "measurement", False, "Response time"),
    "last_seen": ("sensor", "timestamp", None, None, False, "Last seen"),
    "event": ("event", None, None, None, True, "Event"),
    "refresh": ("button", None, None, None, False, "Refresh"),
}
OF_STRIPS = {
    "all_switch": ("switch", "outlet", None, None, True, "All"),
    "power": ("sensor", "power", "W", "measurement", True, "Total power"),
    "energy": ("sensor", "energy", "kWh", "total_increasing", True, "Total energy"),
    "leader": ("select", None, None, None, True, "Leader port"),
    "leader_limit": ("select", None, None, None, True, "Leader limit"),
}
OF_BRIDGE = {
    "connection": ("binary_sensor", "connectivity", None, None, True, "Connection"),
    "problem": ("binary_sensor", "problem", None, None, True, "Problem"),
    "adopt": ("switch", None, None, None, True, "Adopt new devices"),
    "log_level": ("select", None, None, None, True, "Log level"),
    "devices_online": ("sensor", None, None, "measurement", True, "Devices online"),
    "scan": ("button", None, None, None, True, "Scan network"),
    "restart": ("button", "restart", None, None, True, "Restart"),
}
# These say nothing on a topic that could be held against what is shown.
MUTE = ("event", "button")

# Home Assistant's own, when the first announcements bring it several platforms at once: each is set up under one lock,
# and whoever finds it taken and then free is told off. A device of nobody's, with five platforms in its message, does it.
HURRY = "calls async_forward_entry_setups for integration mqtt"

# Platforms of the MQTT integration, imported before it is set up. Home Assistant imports them in another thread while it
# reads announcements with schemas that share parts, and each import compiles those parts anew: now and then it reads
# with a half compiled one and drops an entity with a KeyError, until it is announced again.
PLATFORMS = ("binary_sensor", "button", "device_tracker", "event", "number", "select", "sensor", "switch", "text", "update")


def demand(truth, what):
    if not truth:
        raise AssertionError(f"Home Assistant {RELEASE}: {what}")


def ok(what):
    print(f"ok Home Assistant {RELEASE}: {what}", flush=True)


async def until(what, condition, seconds=60):
    """Waits for a condition; the last thing it said is in the message when it does not come."""
    end = time.monotonic() + seconds
    while not (seen := condition()):
        demand(time.monotonic() < end, f"not within {seconds} s: {what} ({seen!r})")
        await asyncio.sleep(0.05)
    return seen


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Log(logging.Handler):
    """What Home Assistant finds worth a warning."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.name}: {self.format(record)}")

    def demand_silence(self, when, excused=()):
        wrong = [line for line in self.lines if not any(words in line for words in excused)]
        demand(not wrong, f"{when}, the log has\n" + "\n".join(wrong))
        self.lines.clear()


class Abroad:
    """Addresses outside this machine that anything in this process has turned to. A datagram socket that is connected
    sends nothing by it; Home Assistant learns its own address so."""

    def __init__(self):
        self.seen = set()
        sys.addaudithook(self.note)

    def note(self, event, args):
        asks = event == "socket.connect" and args[0].type != socket.SOCK_DGRAM
        if (asks or event == "socket.sendto") and isinstance(args[1], tuple):
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(args[1][0]).is_loopback:
                    return
            self.seen.add(args[1])


class Tap:
    """What is said on the broker, with the retain flag as it was published."""

    def __init__(self, port):
        self.lock, self.retained, self.heard = threading.Lock(), {}, []
        # Home Assistant 2025.1 brings paho 1, later ones paho 2.
        first = [paho.CallbackAPIVersion.VERSION2] if hasattr(paho, "CallbackAPIVersion") else []
        self.client = paho.Client(*first, protocol=paho.MQTTv5)
        self.client.on_message = self.note
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("#", options=SubscribeOptions(qos=1, retainAsPublished=True))
        self.client.loop_start()

    def note(self, _client, _data, message):
        with self.lock:
            self.heard.append((message.topic, message.payload.decode(), message.retain))
            if message.retain:
                self.retained[message.topic] = message.payload.decode()

    def since(self, start, topic):
        with self.lock:
            return [(payload, retain) for name, payload, retain in self.heard[start:] if name == topic]

    def announced(self):
        """The discovery messages there are."""
        with self.lock:
            return {topic for topic, text in self.retained.items() if topic.startswith("homeassistant/") and text}

    def publish(self, topic, payload, retain=False):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.client.publish(topic, text, qos=1, retain=retain).wait_for_publish(5)


class House:
    """Broker, plugs and bridge, each a process."""

    def __init__(self, binary, folder):
        self.binary, self.folder, self.broker_port, self.running = binary, folder, free_port(), contextlib.ExitStack()
        conf = folder / "mosquitto.conf"
        conf.write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n")
        self.start(["mosquitto", "-c", conf], stderr=subprocess.DEVNULL)
        words = [f"{STRIP_IP}=strip-1.30", f"{PLUG_IP}=plug-2.11"]
        self.shelf = self.start([binary, "simulate", "--free-ports", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.shelf.stdout.readline().split()
        demand(ready[:1] == ["READY"], f"the plugs say {ready}")
        self.ports = dict(word.split("=") for word in ready[1:])

    async def up(self):
        def answers():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.broker_port), 1):
                return True
        await until("the broker answers", answers)

    def tell(self, line):
        self.shelf.stdin.write(f"{line}\n")
        self.shelf.stdin.flush()
        demand(self.shelf.stdout.readline() == "OK\n", f"the plugs do not understand: {line}")

    def start_bridge(self, mode, port_devices):
        """Starts the program with a form of announcement."""
        settings = {
            "mqtt.url": f'"mqtt://127.0.0.1:{self.broker_port}"',
            "state.directory": f'"{self.folder}/state"',
            "home_assistant.discovery": f'"{mode}"',
            "home_assistant.port_devices": f'"{port_devices}"',
            "publish.heartbeat": '"5s"',
            "maxsmart.udp_port": self.ports["maxsmart.udp_port"],
            "maxsmart.http_port": self.ports["maxsmart.http_port"],
            "maxsmart.broadcast": '["127.255.255.255"]',
            "maxsmart.poll_interval": '"1s"',
            "inplug.enabled": "false",
        }
        table = {}
        for key, value in settings.items():
            section, name = key.split(".")
            table.setdefault(section, []).append(f"{name} = {value}")
        config = self.folder / "plug2mqtt.toml"
        config.write_text("\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in table.items()))
        self.bridge = self.start([self.binary, "--config", config, "run"], stderr=(self.folder / "bridge.log").open("a"), stdout=subprocess.DEVNULL)

    def kill_bridge(self):
        self.bridge.kill()
        self.bridge.wait()

    def stop_bridge(self):
        self.bridge.terminate()
        demand(self.bridge.wait(timeout=15) == 0, "the bridge ended badly")

    def start(self, command, **streams):
        process = subprocess.Popen(command, **streams)
        self.running.callback(process.wait)
        self.running.callback(process.kill)
        return process


async def start_home_assistant(folder):
    """The core with recorder, energy and what they need; the rest of a house is not there."""
    for platform in PLATFORMS:
        importlib.import_module(f"homeassistant.components.mqtt.{platform}")
    # Statistics are made when this script says so.
    Recorder.async_periodic_statistics = lambda self: None
    (folder / "configuration.yaml").touch()
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    loader.async_setup(hass)
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    async_initialize_recorder(hass)
    config = {
        "http": {"server_host": "127.0.0.1", "server_port": free_port()},
        "recorder": {"db_url": f"sqlite:///{folder}/recorder.db", "commit_interval": 0},
        "energy": {},
    }
    for domain in ("homeassistant", "persistent_notification", "http", "recorder", "energy"):
        demand(await async_setup_component(hass, domain, config), f"{domain} cannot be set up")
    await hass.async_start()
    return hass


async def add_mqtt(hass, port):
    """As a user does."""
    flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"broker": "127.0.0.1", "port": port})
    demand(result["type"] == "create_entry", f"the MQTT integration says {result}")
    state = hass.config_entries.async_get_entry(result["result"].entry_id).state
    demand(state is config_entries.ConfigEntryState.LOADED, f"the MQTT integration is in {state}")
    return result["result"].entry_id


def expected(mode, port_devices):
    """Unique id to platform, device class, unit, state class, shown at first, name, device; and devices to their names."""
    table, devices = {}, {}
    for plug, title in PLUGS.items():
        own = f"plug2mqtt_{plug}"
        devices[own] = title
        for number, port in enumerate(STRIP_PORTS if plug == STRIP else [title], 1):
            split = plug == STRIP and port_devices == "via"
            owner = f"{own}_p{number}" if split else own
            if split:
                devices[owner] = port
            for key, (*kind, beside, alone) in OF_EACH_PORT.items():
                name = alone if split or plug == PLUG else beside.format(port=port)
                table[f"{own}_p{number}_{key}"] = (*kind, name, owner)
        for key, row in {**OF_EACH_PLUG, **(OF_STRIPS if plug == STRIP else {})}.items():
            table[f"{own}_{key}"] = (*row, own)
    if mode == "device":
        devices[BRIDGE] = "plug2mqtt bridge"
        table |= {f"{BRIDGE}_{key}": (*row, BRIDGE) for key, row in OF_BRIDGE.items()}
    return table, devices


def same(device_class, said, shown):
    """Whether a payload and a state say the same. A select cannot show "none"."""
    if said == "none":
        return shown == "off"
    if said == "None":
        return shown == "unknown"
    if said is None or shown in (None, "unknown", "unavailable"):
        return False
    if device_class == "timestamp":
        return dt_util.parse_datetime(said).replace(microsecond=0) == dt_util.parse_datetime(shown)
    try:
        return float(said) == float(shown)
    except ValueError:
        return said.lower() == shown.lower()


class Check:
    """One run of Home Assistant."""

    def __init__(self, hass, house, tap, log, entry):
        self.hass, self.house, self.tap, self.log, self.entry = hass, house, tap, log, entry
        self.entities = entity_registry.async_get(hass)
        self.devices = device_registry.async_get(hass)
        # What a port had when it was first seen must stay.
        self.ids = {}

    def registered(self):
        return {entry.unique_id: entry for entry in self.entities.entities.values() if entry.platform == "mqtt"}

    def id_of(self, plug, key):
        return self.registered()[f"plug2mqtt_{plug}_{key}"].entity_id

    def state(self, plug, key):
        return self.hass.states.get(self.id_of(plug, key))

    def shown(self, plug, key):
        state = self.state(plug, key)
        return state and state.state

    def topic(self, plug, key):
        if key == "all_switch":
            return f"plug2mqtt/{plug}/0/state"
        if of_port := re.fullmatch(r"p(\d+)_(\w+)", key):
            port, word = of_port.groups()
            return f"plug2mqtt/{plug}/{port}/{'state' if word == 'switch' else word}"
        return f"plug2mqtt/{plug}/{key}"

    def difference(self, mode, port_devices):
        """What is not as expected in the registries; nothing when all is."""
        (want, devices), have = expected(mode, port_devices), self.registered()
        wrong = [f"missing: {unique}" for unique in want.keys() - have.keys()]
        wrong += [f"unexpected: {unique}, {have[unique].entity_id}" for unique in have.keys() - want.keys()]
        there = {own: device for device in self.devices.devices.values() for domain, own in device.identifiers if domain == "mqtt"}
        wrong += [f"missing: device {own}" for own in devices.keys() - there.keys()]
        for own, device in there.items():
            # Home Assistant keeps the empty devices of ports that are none any more, until they are deleted there.
            emptied = own in expected(mode, "via")[1] and not entity_registry.async_entries_for_device(self.entities, device.id, True)
            if device.name != devices.get(own) and not (emptied and own not in devices):
                wrong.append(f"device {own} is {device.name!r}, expected {devices.get(own)!r}")
        for unique in want.keys() & have.keys():
            entry = have[unique]
            device = self.devices.async_get(entry.device_id)
            seen = (
                entry.domain, entry.original_device_class, entry.unit_of_measurement, (entry.capabilities or {}).get("state_class"),
                entry.disabled_by is None, entry.original_name, next(own for _, own in device.identifiers),
            )
            row = want[unique]
            if unique in self.ids:
                # Shown or not is said once; a user may change it.
                row = (*row[:4], seen[4], *row[5:])
                entity_id = self.ids[unique]
            else:
                entity_id = f"{row[0]}.{slugify(f'{device.name} {row[5] or str()}')}"
            if seen != row or entry.entity_id != entity_id:
                wrong.append(f"{unique}: {entry.entity_id} is {seen}, expected {entity_id}, {row}")
            if entry.domain in ("number", "select") and entry.entity_category != "config":
                wrong.append(f"{unique}: {entry.entity_id} is not below the switches but {entry.entity_category}")
        return wrong

    def unequal(self):
        """Entities that do not show what is on their topic."""
        wrong = []
        for plug in PLUGS:
            for unique, entry in self.registered().items():
                key = unique.removeprefix(f"plug2mqtt_{plug}_")
                if key == unique or entry.domain in MUTE or entry.disabled_by:
                    continue
                said, state = self.tap.retained.get(self.topic(plug, key)), self.hass.states.get(entry.entity_id)
                shown = state and state.state
                if not same(entry.original_device_class, said, shown):
                    wrong.append(f"{unique}: {said} shown as {shown}")
        return wrong

    async def settled(self, what, faults):
        """Waits until a list of faults is empty; if not, says what is on it."""
        end = time.monotonic() + 60
        while wrong := faults():
            demand(time.monotonic() < end, f"{what}:\n" + "\n".join(sorted(wrong)))
            await asyncio.sleep(0.1)

    async def appear(self, mode, port_devices, excused=()):
        await self.settled(f"entities, {mode}, port_devices {port_devices}", lambda: self.difference(mode, port_devices))
        await self.settled("states", self.unequal)
        self.log.demand_silence(f"entities, {mode}, port_devices {port_devices}", excused)
        self.ids |= {unique: entry.entity_id for unique, entry in self.registered().items()}
        plugs = len(self.registered()) - (len(OF_BRIDGE) if mode == "device" else 0)
        ok(f"{mode}, port_devices {port_devices}: {plugs} entities of a strip and a plug, states as on the topics")

    async def enable_all(self):
        """What is hidden at first works, too, and discovery survives a reload of the integration."""
        for entry in self.registered().values():
            if entry.disabled_by:
                self.entities.async_update_entity(entry.entity_id, disabled_by=None)
        demand(await self.hass.config_entries.async_reload(self.entry), "MQTT cannot be loaded again")
        await self.settled("states of all entities", self.unequal)
        self.log.demand_silence("all enabled")
        ok("all entities enabled, the integration loaded again: states as on the topics")

    async def switch(self, plug, key, topic, verb):
        start = len(self.tap.heard)
        await self.hass.services.async_call("switch", f"turn_{verb}", {"entity_id": self.id_of(plug, key)}, blocking=True)
        await until(f"a command on {topic}", lambda: self.tap.since(start, topic))
        await until(f"{plug} {key} is {verb}", lambda: self.shown(plug, key) == verb)
        said = self.tap.since(start, topic)
        demand(said == [(verb.upper(), False)], f"{topic} got {said}")
        await until(f"{plug} {key} is {verb} on its topic", lambda: self.tap.retained.get(self.topic(plug, key)) == verb.upper())
        if key == "all_switch":
            await until(f"all ports are {verb}", lambda: {self.shown(plug, f"p{port}_switch") for port in range(1, 7)} == {verb})

    async def switches(self):
        for verb in ("off", "on"):
            await self.switch(STRIP, "p2_switch", f"plug2mqtt/{STRIP}/2/set", verb)
            await self.switch(PLUG, "p1_switch", f"plug2mqtt/{PLUG}/1/set", verb)
            await self.switch(STRIP, "all_switch", f"plug2mqtt/{STRIP}/0/set", verb)
        start = len(self.tap.heard)
        await self.hass.services.async_call("button", "press", {"entity_id": self.id_of(STRIP, "refresh")}, blocking=True)
        await until("a refresh is asked for", lambda: self.tap.since(start, f"plug2mqtt/{STRIP}/get") == [("get", False)])
        before = self.shown(STRIP, "event")
        self.house.tell(f"press {STRIP_IP} 3")
        await until("a press of the button is seen", lambda: self.shown(STRIP, "p3_switch") == "off")
        await until("and an event", lambda: self.shown(STRIP, "event") != before)
        demand(self.state(STRIP, "event").attributes["event_type"] == "switched_locally", "not switched_locally")
        self.log.demand_silence("switching")
        ok("switches publish to the right topic, not retained; the plug follows, and its own button is shown")

    def unavailable(self, plug):
        mine = [entry.entity_id for unique, entry in self.registered().items() if unique.startswith(f"plug2mqtt_{plug}_")]
        states = {self.hass.states.get(entity).state == "unavailable" for entity in mine}
        return "all" if states == {True} else "none" if states == {False} else "some"

    async def goes_away(self):
        self.house.tell(f"fault {STRIP_IP} off")
        await until("the strip is unavailable", lambda: self.unavailable(STRIP) == "all", 60)
        demand(self.unavailable(PLUG) == "none", "the plug went with the strip")
        self.house.tell(f"fault {STRIP_IP} none")
        await until("the strip is back", lambda: self.unavailable(STRIP) == "none", 60)
        self.house.kill_bridge()
        await until("all is unavailable", lambda: all(self.unavailable(plug) == "all" for plug in PLUGS))
        link = self.registered()[f"{BRIDGE}_connection"].entity_id
        await until("the bridge is disconnected", lambda: self.hass.states.get(link).state == "off")
        self.house.start_bridge("device", "none")
        await until("all is back", lambda: all(self.unavailable(plug) == "none" for plug in PLUGS))
        await self.settled("states after an outage", self.unequal)
        self.log.demand_silence("outages")
        ok("unavailable and back with the plug, and with the bridge")

    async def rename(self):
        for name in ("Workshop strip", PLUGS[STRIP]):
            self.tap.publish("plug2mqtt/bridge/request/device_rename", {"id": STRIP, "name": name})
            await until("the new name", lambda name=name: self.devices.async_get_device({("mqtt", f"plug2mqtt_{STRIP}")}).name == name)
        for name in ("Drill", STRIP_PORTS[2]):
            self.tap.publish("plug2mqtt/bridge/request/port_rename", {"id": STRIP, "port": 3, "name": name})
            await until("the port's new name", lambda name=name: self.state(STRIP, "p3_power").attributes["friendly_name"] == f"{PLUGS[STRIP]} {name} power")
        await self.appear("device", "none")
        ok("renaming changes names and no entity id")

    async def control(self):
        """What Home Assistant says of a device of nobody that is moved to messages for each entity by its own book."""
        common = {"device": {"identifiers": ["control"], "name": "Control"}, "origin": {"name": "control"}}
        entity = {"unique_id": "control", "name": "Value", "state_topic": "control"}
        whole, single = "homeassistant/device/control/config", "homeassistant/sensor/control/config"
        self.tap.publish(whole, {**common, "components": {"control": {"platform": "sensor", **entity}}}, retain=True)
        await until("the control", lambda: "control" in self.registered())
        self.tap.publish(whole, {"migrate_discovery": True}, retain=True)
        self.tap.publish(single, {**common, **entity}, retain=True)
        self.tap.publish(whole, "", retain=True)
        self.tap.publish(single, "", retain=True)
        await until("the control is gone", lambda: "control" not in self.registered())
        said = list(self.log.lines)
        self.log.lines.clear()
        return said

    async def migrates(self):
        said = await self.control()
        ours = {own for form in ("none", "via") for own in expected("component", form)[1]}
        excused = [line.replace("control", own) for line in said for own in ours]
        for mode, port_devices in (("device", "via"), ("component", "via"), ("component", "none"), ("device", "none")):
            self.house.stop_bridge()
            self.house.start_bridge(mode, port_devices)
            await self.appear(mode, port_devices, excused)


async def statistics(hass, start, entity_ids):
    """Has the recorder make statistics of each period from `start` to now, and gives the rows."""
    recorder = get_instance(hass)
    await recorder.async_block_till_done()
    period = start
    while period <= dt_util.utcnow():
        recorder.queue_task(StatisticsTask(period, False))
        period += FIVE_MINUTES
    await recorder.async_block_till_done()
    return await recorder.async_add_executor_job(
        lambda: statistics_during_period(hass, start, None, set(entity_ids), "5minute", None, {"state", "sum"})
    )


def replay(hass, states, minutes):
    """Home Assistant's own states once more, as if they had come over the last hour."""
    now = dt_util.utcnow()
    start = (now - datetime.timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    start -= datetime.timedelta(minutes=start.minute % 5)
    step = (minutes - 15) * 60 / len(states)
    for number, state in enumerate(states):
        at = start.timestamp() + number * step
        hass.states.async_set("sensor.replayed", state.state, state.attributes, timestamp=at)
    return start


async def energy(check):
    """Growth, an abrupt end of the bridge, growth again; then the dashboard."""
    hass, house = check.hass, check.house
    total = check.id_of(STRIP, "energy")
    ports = [check.id_of(STRIP, f"p{port}_energy") for port in range(1, 7)] + [check.id_of(PLUG, "p1_energy")]
    seen = []
    forget = hass.bus.async_listen("state_changed", lambda event: event.data["entity_id"] == total and seen.append(event.data["new_state"]))
    figures = lambda: [float(state.state) for state in seen if state.state not in ("unknown", "unavailable")]  # noqa: E731
    for port in range(1, 7):
        house.tell(f"load {STRIP_IP} {port} 3000")
    await check.hass.services.async_call("switch", "turn_on", {"entity_id": check.id_of(STRIP, "all_switch")}, blocking=True)
    await until("energy grows", lambda: len(set(figures())) >= 3, 60)
    house.kill_bridge()
    await until("unavailable", lambda: check.unavailable(STRIP) == "all")
    house.start_bridge("device", "none")
    mark = len(figures())
    await until("energy grows again", lambda: len(set(figures()[mark:])) >= 3, 90)
    forget()
    await hass.services.async_call("switch", "turn_off", {"entity_id": check.id_of(STRIP, "all_switch")}, blocking=True)
    shown = lambda entity: float(hass.states.get(entity).state)  # noqa: E731
    await until("nothing is drawn", lambda: shown(check.id_of(STRIP, "power")) == 0)
    await until("the ports add up", lambda: abs(shown(total) - sum(map(shown, ports[:6]))) < 0.001)
    line = figures()
    demand(line == sorted(line) and line[-1] > line[0], f"energy fell: {line}")
    demand(any(state.state == "unavailable" for state in seen), "no outage in the series")

    minutes = 60
    start = replay(hass, seen, minutes)
    rows = await statistics(hass, start, ["sensor.replayed", total, *ports])
    sums = [row["sum"] for row in rows["sensor.replayed"]]
    demand(len(sums) > 5, f"{len(sums)} periods of statistics")
    demand(sums == sorted(sums), f"the sum fell: {sums}")
    demand(abs(sums[-1] - (line[-1] - line[0])) < 1e-6, f"the sum is {sums[-1]}, drawn was {line[-1] - line[0]}")
    for entity in (total, *ports):
        demand(rows.get(entity), f"no statistics of {entity}")
    whole, *parts = [rows[entity][-1]["sum"] for entity in (total, *ports[:6])]
    demand(abs(whole - sum(parts)) < 0.001, f"the sum of the strip is {whole}, those of its ports are {parts}")
    ok(f"statistics over {len(sums)} periods with a crash in them: the sum never falls, is what was drawn and adds up over the ports, {sums[-1]:.3f} kWh")
    hass.states.async_remove("sensor.replayed")
    check.log.demand_silence("statistics")

    from homeassistant.components.energy import data, validate
    manager = await data.async_get_manager(hass)
    nested = "included_in_stat" in data.DeviceConsumption.__annotations__
    devices = [{"stat_consumption": entity} for entity in (total, *ports)]
    if nested:
        for device in devices[1:7]:
            device["included_in_stat"] = total
    grid = {"type": "grid", "flow_from": [{"stat_energy_from": total, "stat_cost": None, "entity_energy_price": None, "number_energy_price": None}], "flow_to": [], "cost_adjustment_day": 0}
    await manager.async_update({"energy_sources": [grid], "device_consumption": devices})
    issues = (await validate.async_validate(hass)).as_dict()
    demand(not any(issues["energy_sources"] + issues["device_consumption"]), f"the energy dashboard finds {issues}")
    demand(len(issues["device_consumption"]) == 8, f"{issues}")
    check.log.demand_silence("energy dashboard")
    ok(f"the energy dashboard finds no issue with a total and 7 ports{', the total upstream' if nested else ''}")


async def run(binary, folder):
    log, abroad = Log(), Abroad()
    logging.getLogger().addHandler(log)
    house = House(binary, folder)
    with house.running:
        await house.up()
        tap = Tap(house.broker_port)
        house.start_bridge("device", "none")
        await until("the plugs are announced", lambda: len(tap.announced()) == 3)
        for plug, name in PLUGS.items():
            tap.publish("plug2mqtt/bridge/request/device_rename", {"id": plug, "name": name})
            await until(f"it is announced as {name}", lambda name=name: any(name in text for text in tap.retained.values()))
        await until("all of it is announced", lambda: all(f'"{unique}"' in str(tap.retained) for unique in expected("device", "none")[0]), 180)
        hass = await start_home_assistant(folder)
        # What it says before it has heard of us is not about us.
        log.lines.clear()
        check = Check(hass, house, tap, log, await add_mqtt(hass, house.broker_port))
        await check.appear("device", "none", [HURRY])
        await check.enable_all()
        await check.switches()
        await check.goes_away()
        await check.rename()
        await check.migrates()
        await energy(check)
        await hass.async_stop()
        log.demand_silence("at the end")
        demand(not abroad.seen, f"not on loopback: {abroad.seen}")


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(asyncio.wait_for(run(binary, pathlib.Path(folder)), 300))
            return
        except Exception:
            traceback.print_exc()
            with contextlib.suppress(OSError):
                print((pathlib.Path(folder) / "bridge.log").read_text()[-1500:], file=sys.stderr)
    sys.stderr.flush()
    # Home Assistant's threads would wait for a stop in good order.
    os._exit(1)


main()
