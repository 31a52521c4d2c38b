"""Makes a picture of Home Assistant's device page of a strip of the demo.

usage: homeassistant.py <plug2mqtt binary> <PNG file>

Runs `plug2mqtt demo`, Home Assistant's core with its frontend in this process, and Debian's chromium, all on loopback.
`docs/pictures/make` calls it in a virtual environment with what it needs.
"""

import asyncio
import base64
import contextlib
import io
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

# This file shares its name with the package: keep its own folder off the path.
sys.path.pop(0)

import aiohttp  # noqa: E402
from homeassistant import auth, bootstrap, config_entries, core, loader  # noqa: E402
from homeassistant.helpers import device_registry, entity_registry  # noqa: E402
from homeassistant.helpers.recorder import async_initialize_recorder  # noqa: E402
from homeassistant.setup import async_setup_component  # noqa: E402
from PIL import Image  # noqa: E402

STRIP = "maxsmart-swp6000000000001"
WIDTH, HEIGHT = 1160, 900
# The cards, without the menu and what is empty.
CARDS = (256, 0, 852, HEIGHT)
ONBOARDED = ["user", "core_config", "integration", "analytics"]

# All text of the page, also inside the shadow roots that the frontend is made of.
TEXT = """(() => {
  const words = [], seen = [document];
  while (seen.length) {
    const node = seen.pop();
    if (node.nodeType === 3) words.push(node.data);
    if (node.shadowRoot) seen.push(node.shadowRoot);
    seen.push(...node.childNodes);
  }
  return words.join(" ");
})()"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(what, check, seconds=90):
    for _ in range(seconds * 4):
        if found := await check():
            return found
        await asyncio.sleep(0.25)
    raise TimeoutError(what)


async def start_home_assistant(folder, port):
    (folder / ".storage").mkdir()
    done = {"version": 4, "minor_version": 1, "key": "onboarding", "data": {"done": ONBOARDED}}
    (folder / ".storage/onboarding").write_text(json.dumps(done))
    (folder / "configuration.yaml").touch()
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    loader.async_setup(hass)
    await loader.async_get_custom_components(hass)
    await bootstrap.async_load_base_functionality(hass)
    # Whoever comes from this machine is logged in.
    trust = {"type": "trusted_networks", "trusted_networks": ["127.0.0.0/8"], "allow_bypass_login": True}
    hass.auth = await auth.auth_manager_from_config(hass, [trust], [])
    await hass.auth.async_create_user("Demo", group_ids=["system-admin"])
    async_initialize_recorder(hass)
    config = {
        "http": {"server_host": "127.0.0.1", "server_port": port},
        "recorder": {"db_url": f"sqlite:///{folder}/recorder.db", "commit_interval": 1},
    }
    for domain in ("homeassistant", "persistent_notification", "http", "recorder", "frontend", "config"):
        if not await async_setup_component(hass, domain, config):
            raise RuntimeError(f"{domain} cannot be set up")
    await hass.async_start()
    return hass


async def add_mqtt(hass, port):
    flow = await hass.config_entries.flow.async_init("mqtt", context={"source": "user"})
    await hass.config_entries.flow.async_configure(flow["flow_id"], {"broker": "127.0.0.1", "port": port})


class Browser:
    """Debian's chromium, over its debugging protocol."""

    def __init__(self, socket):
        self.socket, self.number = socket, 0

    async def call(self, method, **params):
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        async for message in self.socket:
            reply = message.json()
            if reply.get("id") == self.number:
                return reply.get("result", {})

    async def text(self):
        reply = await self.call("Runtime.evaluate", expression=TEXT, returnByValue=True)
        return reply.get("result", {}).get("value", "")

    async def picture(self, url, words):
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Page.navigate", url=url)

        async def shown():
            text = await self.text()
            return all(word in text for word in words)

        await until(f"{words} on the page", shown)
        await asyncio.sleep(3)
        reply = await self.call("Page.captureScreenshot", format="png")
        return Image.open(io.BytesIO(base64.b64decode(reply["data"])))


@contextlib.contextmanager
def running(command, **streams):
    process = subprocess.Popen(command, **streams)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def main(binary, picture):
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "home").mkdir()
        mqtt, web, debug = free_port(), free_port(), free_port()
        # Slow polling finds out what the strip can do besides switching; here it need not be slow.
        demo = [binary, "-s", f"broker.listen=127.0.0.1:{mqtt}", "-s", "maxsmart.slow_poll_interval=1s", "demo"]
        stack.enter_context(running(demo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        hass = await start_home_assistant(folder / "home", web)
        await add_mqtt(hass, mqtt)
        devices, entities = device_registry.async_get(hass), entity_registry.async_get(hass)

        async def strip():
            device = devices.async_get_device({("mqtt", f"plug2mqtt_{STRIP}")})
            wanted = entities.async_get_entity_id("number", "mqtt", f"plug2mqtt_{STRIP}_p5_countdown")
            return device if wanted else None

        device = await until("the strip with its countdowns", strip, 240)
        # Until there is energy to be seen.
        await asyncio.sleep(60)
        chromium = [
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--lang=en",
            f"--remote-debugging-port={debug}", f"--user-data-dir={folder}/browser", "about:blank",
        ]  # fmt: skip
        stack.enter_context(running(chromium, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        async with aiohttp.ClientSession() as session:

            async def pages():
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{debug}/json/list") as reply:
                        return [page for page in await reply.json() if page["type"] == "page"]

            page = (await until("chromium answers", pages))[0]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                url = f"http://127.0.0.1:{web}/config/devices/device/{device.id}"
                image = await Browser(socket).picture(url, ["Kitchen strip", "Kettle power", "Lamp"])
        # 128 colours keep it small.
        image.convert("RGB").crop(CARDS).quantize(128).save(picture, optimize=True)
        await hass.async_stop(force=True)


if not shutil.which("chromium"):
    sys.exit("chromium is not there: apt install chromium")
asyncio.run(main(sys.argv[1], sys.argv[2]))
