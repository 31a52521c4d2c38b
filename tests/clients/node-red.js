// Imports the example flow into Node-RED, the real one, beside `plug2mqtt demo`.
//
// usage: node node-red.js <plug2mqtt binary> <folder with node-red in node_modules>
//
// Everything is on loopback. Prints one line per passed check; the first failure ends with a non-zero status.
"use strict";

const { spawn } = require("child_process");
const fs = require("fs");
const net = require("net");
const os = require("os");
const path = require("path");

const [shelf, home] = process.argv.slice(2);
const modules = path.join(home, "node_modules");
const mqtt = require(path.join(modules, "mqtt"));
const WebSocket = require(path.join(modules, "ws"));
const release = require(path.join(modules, "node-red", "package.json")).version;

const FLOW = path.join(__dirname, "..", "..", "examples", "node-red-flow.json");
const STRIP = "maxsmart-swp6000000000001";
const LAMP = `plug2mqtt/${STRIP}/5`;
const PATIENCE = 60000;

const children = [];
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "plug2mqtt-node-red-"));

function ok(what) {
    console.log(`ok Node-RED ${release}: ${what}`);
}

function demand(truth, what) {
    if (!truth) throw new Error(what);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits for what a condition brings; `tell` says what there is when it does not come. */
async function until(what, condition, tell = () => "") {
    const end = Date.now() + PATIENCE;
    for (;;) {
        const seen = await condition();
        if (seen) return seen;
        demand(Date.now() < end, `not within ${PATIENCE / 1000} s: ${what} ${tell()}`);
        await pause(20);
    }
}

async function freePort() {
    const server = net.createServer();
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
}

/** Starts a program whose output goes to a file that is shown when something fails. */
function start(name, command, args) {
    const log = path.join(scratch, `${name}.log`);
    const out = fs.openSync(log, "a");
    const child = spawn(command, args, { stdio: ["ignore", out, out], cwd: scratch });
    child.log = log;
    child.gone = new Promise((done) => child.once("exit", done));
    children.push(child);
    return child;
}

/** A subscriber of everything, in the order of arrival. */
async function tap(port) {
    const heard = [];
    const client = mqtt.connect({ host: "127.0.0.1", port, reconnectPeriod: 50 });
    client.on("message", (topic, payload, packet) => {
        heard.push({ topic, payload: payload.toString(), retained: packet.retain });
    });
    client.on("connect", () => client.subscribe("#", { qos: 1 }));
    client.on("error", () => {});
    return { client, heard };
}

/** What the debug nodes of the flow show, as an open editor gets it. */
async function editor(port) {
    const shown = [];
    const socket = new WebSocket(`ws://127.0.0.1:${port}/comms`);
    await new Promise((done, failed) => socket.once("open", done).once("error", failed));
    socket.on("message", (data) => {
        for (const { topic, data: said } of [].concat(JSON.parse(data))) {
            if (topic === "debug") shown.push({ node: said.id, ...JSON.parse(said.msg) });
            if (/^status\//.test(topic)) shown.push({ node: topic, status: said });
        }
    });
    socket.send(JSON.stringify({ subscribe: "debug" }));
    socket.send(JSON.stringify({ subscribe: "status/#" }));
    return { shown, close: () => socket.terminate() };
}

/** What was found by a condition since a mark in a growing list. */
const since = (list, mark, wanted) => () => list.slice(mark).find(wanted);

async function main() {
    const [brokerPort, uiPort] = [await freePort(), await freePort()];
    const begin = () => start("demo", shelf, ["demo", "--set", `broker.listen=127.0.0.1:${brokerPort}`]);
    let demo = begin();
    const { client, heard } = await tap(brokerPort);
    const toBridge = ({ topic }) => /\/set$|\/get$|\/request\//.test(topic);
    await until("the demo is online", since(heard, 0, (m) => m.topic === "plug2mqtt/bridge/state" && m.payload === "online"));
    await until("a snapshot", since(heard, 0, (m) => m.topic === `plug2mqtt/${STRIP}/state`));

    const flow = JSON.parse(fs.readFileSync(FLOW));
    const brokers = flow.filter((node) => node.type === "mqtt-broker");
    demand(brokers.length === 1 && brokers[0].port === "1883", "the flow has no broker at 1883");
    brokers[0].port = String(brokerPort);
    fs.writeFileSync(path.join(scratch, "flows.json"), JSON.stringify(flow));
    fs.writeFileSync(path.join(scratch, "settings.js"), `module.exports = {
        uiHost: "127.0.0.1", uiPort: ${uiPort}, flowFile: "flows.json", credentialSecret: false,
        editorTheme: { tours: false }, telemetry: { enabled: false, updateNotification: false },
        externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
        logging: { console: { level: "info" } },
    };`);
    const before = heard.length;
    const red = start("node-red", process.execPath, [path.join(modules, "node-red", "red.js"), "--userDir", scratch]);
    const ui = `http://127.0.0.1:${uiPort}`;
    const call = async (method, place, body) => {
        const headers = { "Content-Type": "application/json", "Node-RED-Deployment-Type": "full" };
        const answer = await fetch(ui + place, { method, headers, body: body && JSON.stringify(body) });
        demand(answer.ok, `${method} ${place}: ${answer.status} ${await answer.clone().text()}`);
        return answer;
    };
    await until("Node-RED serves", async () => {
        demand(red.exitCode === null, "Node-RED has ended");
        return call("GET", "/flows").catch(() => false);
    });
    const { shown } = await editor(uiPort);

    const picture = (online) => (said) =>
        said.node === "p2m-shown" && said.topic === STRIP && said.payload.online === online;
    for (const time of ["deployed", "deployed again"]) {
        const mark = shown.length;
        await call("POST", "/flows", flow);
        const seen = await until(`the strip is shown, ${time}`, since(shown, mark, picture(true)), () => JSON.stringify(shown.slice(-5)));
        const lamp = seen.payload.ports.Lamp;
        demand(lamp.state === "ON" && lamp.port === "5" && lamp.power > 5, `the lamp is shown as ${JSON.stringify(lamp)}`);
    }
    ok("plugs and ports are shown");

    // What the flow had to say is said when a snapshot that was asked for later has come.
    const settle = heard.length;
    client.publish(`plug2mqtt/${STRIP}/get`, "");
    await until("the strip was asked", since(heard, settle, (m) => m.topic === `plug2mqtt/${STRIP}/state`));
    const sent = heard.slice(before).filter((m) => toBridge(m) && m.topic !== `plug2mqtt/${STRIP}/get`);
    demand(sent.length === 0, `sent without a press: ${JSON.stringify(sent)}`);
    ok("nothing is switched at deploy");

    const marks = new Set();
    const press = async (state) => {
        const [mark, told] = [heard.length, shown.length];
        await call("POST", "/inject/p2m-press");
        const command = await until("the command", since(heard, mark, (m) => m.topic === `${LAMP}/set`));
        const said = JSON.parse(command.payload);
        demand(!command.retained && said.state === state && said.id && !marks.has(said.id), `sent: ${command.payload}`);
        marks.add(said.id);
        await until("the relay", since(heard, mark, (m) => m.topic === `${LAMP}/state` && m.payload === state));
        const ended = await until("how it ended", since(shown, told, (m) => m.node === "p2m-ended"));
        demand(ended.payload.id === said.id && ended.payload.status === "ok" && ended.payload.wanted === state, JSON.stringify(ended));
        await until("the lamp is shown", since(shown, told, (m) => picture(true)(m) && m.payload.ports.Lamp.state === state));
        const others = heard.slice(mark).filter(toBridge);
        demand(others.length === 1, `sent at one press: ${JSON.stringify(others)}`);
    };
    await press("OFF");
    await press("ON");
    ok("a press switches, is confirmed and shown, each with a mark of its own");

    // Commands of others are theirs.
    let told = shown.length;
    client.publish(`${LAMP}/set`, JSON.stringify({ state: "OFF", id: "somebody" }));
    await until("the lamp is shown as off", since(shown, told, (m) => picture(true)(m) && m.payload.ports.Lamp.state === "OFF"));
    demand(!shown.slice(told).some((m) => m.node === "p2m-ended"), "a result of somebody else is shown as one's own");
    await press("ON");
    ok("results of others are theirs");

    // The bridge is gone while its plugs still have their last word.
    told = shown.length;
    client.publish("plug2mqtt/bridge/state", "offline", { qos: 1 });
    await until("the strip is shown as unknown", since(shown, told, (m) => picture(false)(m) && m.payload.ports.Lamp.state === null));
    ok("plugs are not shown as online when bridge/state is offline");

    told = shown.length;
    demo.kill("SIGTERM");
    await demo.gone;
    await until("the strip is shown as unknown", since(shown, told, picture(false)));
    await call("POST", "/inject/p2m-press");
    const refused = (m) => m.node === "status/p2m-switch" && /not online/.test(m.status.text);
    await until("the press is refused", since(shown, told, refused), () => JSON.stringify(shown.slice(-5)));
    const mark = heard.length;
    told = shown.length;
    demo = begin();
    await until("the strip is shown again", since(shown, told, picture(true)));
    demand(!heard.slice(mark).some(toBridge), "the press was sent later");
    await press("OFF");
    ok("nothing is sent while the bridge is away, nor afterwards; then all works again");
}

async function end(status) {
    for (const child of children) {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
        await child.gone;
        if (status) console.error(`--- ${child.log}\n${fs.readFileSync(child.log)}`);
    }
    fs.rmSync(scratch, { recursive: true, force: true });
    process.exit(status);
}

main().then(
    () => end(0),
    (error) => {
        console.error(`Node-RED ${release}: ${error.stack}`);
        end(1);
    },
);
