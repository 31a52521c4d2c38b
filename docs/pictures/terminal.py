"""Makes a picture of a terminal in which the demo runs and is looked at from another one.

usage: terminal.py <plug2mqtt binary> <SVG file>

Everything in the picture is what the program wrote; where lines are left out stand three dots.
"""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from html import escape

STRIP = "maxsmart-swp6000000000001"
# Of a character, and of a line, in pixels.
ACROSS, DOWN, EDGE = 7.83, 18, 14


class Demo:
    """`plug2mqtt demo`, and other commands in a folder where they find its plugs."""

    def __init__(self, binary, folder):
        # By its name alone, as whoever has installed it.
        (folder / "bin").mkdir()
        (folder / "bin/plug2mqtt").symlink_to(pathlib.Path(binary).resolve())
        self.folder = folder
        self.env = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(folder), "COLUMNS": "100"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = ["plug2mqtt", "--set", f"broker.listen=127.0.0.1:{port}", "demo"]
        self.process = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        greeting = []
        for line in self.process.stdout:
            greeting.append(line.rstrip("\n"))
            if "Ctrl-C ends it" in line:
                break
        settings = re.search(r"-c (\S+) status", "\n".join(greeting)).group(1)
        (folder / "plug2mqtt.toml").write_text(pathlib.Path(settings).read_text())
        start = next(at for at, line in enumerate(greeting) if "simulated" in line)
        end = next(at for at, line in enumerate(greeting) if line.startswith("Try"))
        self.greeting = greeting[start:end]
        # The bridge has found and read all plugs.
        time.sleep(2)

    def run(self, *words):
        shown = " ".join(f'"{word}"' if " " in word else word for word in words)
        done = subprocess.run(words, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return [f"$ {shown}", *done.stdout.rstrip("\n").split("\n"), ""]

    def close(self):
        self.process.terminate()
        self.process.communicate()


def svg(lines):
    width = max(map(len, lines)) * ACROSS + 2 * EDGE
    height = len(lines) * DOWN + 2 * EDGE
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        'font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="13">',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1c2128"/>',
    ]
    for number, line in enumerate(lines):
        if line:
            colour = "#7ee787" if line.startswith("$") else "#e6edf3"
            # The length keeps columns in line, whatever the font.
            text.append(
                f'<text x="{EDGE}" y="{EDGE + number * DOWN + 13}" fill="{colour}" xml:space="preserve" '
                f'textLength="{len(line) * ACROSS:.1f}">{escape(line)}</text>'
            )
    return "\n".join([*text, "</svg>", ""])


def main(binary, picture):
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Demo(binary, pathlib.Path(folder))) as demo:
        lines = ["$ plug2mqtt demo", *demo.greeting, "...", ""]
        lines += demo.run("plug2mqtt", "discover")
        lines += demo.run("plug2mqtt", "toggle", "Kitchen strip", "Lamp")
        lines += demo.run("plug2mqtt", "countdown", "Kitchen strip", "Radio", "20m")
    while not lines[-1]:
        lines.pop()
    pathlib.Path(picture).write_text(svg(lines))


main(sys.argv[1], sys.argv[2])
