"""The Python peer of the benchmark: one maxsmart.MaxSmartDevice per strip with its own poll loop, and paho-mqtt.

Speaks the same topics as the bridge. Publishes what differs from the last value published; relay commands go through turn_on and turn_off,
the new state follows with the next poll, as in programs built on the library.

    python maxsmart_paho.py HOST:PORT FLEET_FILE BASE INTERVAL_MS TIMEOUT_MS

FLEET_FILE has a line `address:port id` per strip.
"""

import asyncio
import logging
import sys

import paho.mqtt.client as mqtt
from maxsmart import MaxSmartDevice


def make_device(target, interval, timeout):
    """A device at a port of its own: the class only takes addresses, so the port is added afterwards."""
    device = MaxSmartDevice(target.split(":")[0], protocol="http")
    device.ip = target
    device.NORMAL_INTERVAL = interval
    device.DEFAULT_TIMEOUT = timeout
    return device


class Bridge:
    """All devices, one broker connection."""

    def __init__(self, base, loop):
        self.base = base
        self.loop = loop
        self.devices = {}
        self.told = {}
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{base}/+/+/set", qos=1)
        self.client.on_message = self.on_message

    def on_message(self, _client, _userdata, message):
        """Runs in paho's thread; the device belongs to the event loop."""
        _, plug, port, _ = message.topic.split("/")
        device = self.devices[plug]
        act = device.turn_on if message.payload == b"ON" else device.turn_off
        asyncio.run_coroutine_threadsafe(act(int(port)), self.loop)

    def publish(self, topic, payload):
        """Publishes a value that differs from the one before."""
        if self.told.get(topic) != payload:
            self.told[topic] = payload
            self.client.publish(topic, payload, qos=1, retain=True)

    def tell(self, plug, reading):
        """One poll's answer."""
        data = reading["device_data"]
        for port, (on, watt) in enumerate(zip(data["switch"], data["watt"]), start=1):
            self.publish(f"{self.base}/{plug}/{port}/state", "ON" if on else "OFF")
            self.publish(f"{self.base}/{plug}/{port}/power", f"{watt:g}")


async def main():
    """Starts every poll loop at once, as the library does, and waits for ever."""
    broker, fleet, base, interval, timeout = sys.argv[1:6]
    logging.disable(logging.CRITICAL)
    bridge = Bridge(base, asyncio.get_running_loop())
    host, port = broker.rsplit(":", 1)
    bridge.client.connect(host, int(port))
    bridge.client.loop_start()
    with open(fleet, encoding="ascii") as lines:
        for line in lines:
            target, plug = line.split()
            device = make_device(target, int(interval) / 1000, int(timeout) / 1000)
            bridge.devices[plug] = device
            device.register_poll_callback("mqtt", lambda reading, plug=plug: bridge.tell(plug, reading))
            device._watt_multiplier = 1.0
            await device.start_adaptive_polling()
    await asyncio.Event().wait()


asyncio.run(main())
