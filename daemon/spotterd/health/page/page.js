"use strict";
// Shows what GET /now and GET /picture/CAMERA tell. No libraries, nothing is sent.

const byId = (id) => document.getElementById(id);
const NOW_MS = 2000;
const UNKNOWN = "–";

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

const show = (value, unit, digits = 0) =>
  value === null || value === undefined ? UNKNOWN : `${value.toFixed(digits)}${unit}`;

function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [name, size] of units)
    if (seconds >= size) return `${(seconds / size).toFixed(seconds < 10 * size ? 1 : 0)} ${name}`;
  return `${seconds.toFixed(0)} s`;
}

// --- cameras: each card asks for its next picture when the last one is shown

const cards = new Map();

function card(name) {
  const figure = make("figure");
  const sky = make("div", "sky");
  const picture = make("img");
  picture.alt = `What camera ${name} sees`;
  const boxes = make("div");
  sky.append(picture, boxes);
  const caption = make("figcaption");
  const state = make("span", "pill");
  const told = make("small");
  caption.append(make("strong", "", name), state, told);
  figure.append(sky, caption);
  byId("cameras").append(figure);
  const made = { name, picture, boxes, state, told, seq: -1 };
  watch(made);
  return made;
}

async function watch(camera) {
  for (;;) {
    try {
      if (document.hidden) {
        await new Promise((go) => document.addEventListener("visibilitychange", go, { once: true }));
      }
      const answer = await fetch(`picture/${encodeURIComponent(camera.name)}?after=${camera.seq}`);
      if (answer.ok) {
        camera.seq = Number(answer.headers.get("X-Seq"));
        await put(camera, await answer.blob(), JSON.parse(answer.headers.get("X-Boxes")));
      } else {
        camera.boxes.replaceChildren();
        await new Promise((go) => setTimeout(go, 1000));
      }
    } catch {
      await new Promise((go) => setTimeout(go, 2000)); // the daemon is away
    }
  }
}

async function put(camera, blob, boxes) {
  const before = camera.picture.src;
  camera.picture.src = URL.createObjectURL(blob);
  await camera.picture.decode();
  if (before) URL.revokeObjectURL(before);
  camera.boxes.replaceChildren(...boxes.map(frame));
}

function frame({ xyxyn: [x1, y1, x2, y2], label, score }) {
  const box = make("div", `box ${label === "bird" ? "bird" : ""} ${y1 < 0.1 ? "low" : ""} ${x1 > 0.7 ? "right" : ""}`);
  Object.assign(box.style, {
    left: `${x1 * 100}%`, top: `${y1 * 100}%`, width: `${(x2 - x1) * 100}%`, height: `${(y2 - y1) * 100}%`,
  });
  box.append(make("span", "", `${label} ${(score * 100).toFixed(0)} %`));
  return box;
}

function showCameras(cameras, figures) {
  for (const { name, state, reason } of cameras) {
    if (!cards.has(name)) cards.set(name, card(name));
    const here = cards.get(name);
    const told = figures.cameras.find((camera) => camera.name === name);
    here.state.className = `pill ${state}`;
    here.state.textContent = state;
    const frames = told ? `${told.fps.toFixed(1)} frames/s, ${told.dropped} dropped` : "";
    here.told.textContent = state === "online" ? frames : reason;
  }
}

// --- health

function showNumbers({ figures, machine }) {
  const { host, board } = machine || { host: {}, board: {} };
  const numbers = [
    ["Frames/s", show(figures.fps, "", 1)],
    ["Latency p50 / p95", figures.latency
      ? `${figures.latency.p50_ms.toFixed(0)} / ${figures.latency.p95_ms.toFixed(0)} ms` : UNKNOWN],
    ["Running for", span(figures.uptime_s)],
    ["Caught errors", String(figures.errors), figures.errors > 0],
    ["Processor", show(host.cpu_percent, " %")],
    ["GPU", show(board.gpu_percent, " %")],
    ["Power", show(board.power_w, " W", 1)],
    ["Power mode", board.power_mode || UNKNOWN],
    ["Memory of spotterd", show(host.process_rss_mib, " MiB")],
    ["Memory free", show(host.ram_available_mib, " MiB")],
    ["Disk free", host.disk_free_mib === undefined ? UNKNOWN : show(host.disk_free_mib / 1024, " GiB", 1)],
    ["Clock", host.clock_synced ? "synchronised" : "not synchronised", host.clock_synced === false],
    ["Slowed down by", (board.throttled_by || []).join(", ") || UNKNOWN, true],
  ].filter(([, value]) => value !== UNKNOWN); // what this machine does not tell takes no room
  byId("numbers").replaceChildren(...numbers.map(([name, value, bad]) => {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", bad ? "bad" : "", value));
    return pair;
  }));
}

const PLOTS = [
  ["fps", "Frames/s", "", 1], ["latency", "Latency p95", " ms", 0], ["cpu", "Processor", " %", 0],
  ["gpu", "GPU", " %", 0], ["celsius", "Hottest sensor", " °C", 0], ["power", "Power", " W", 1],
];

function plot(history, [key, title, unit, digits]) {
  const points = history.filter((sample) => sample[key] !== null);
  if (points.length < 2) return [];
  const top = Math.max(...points.map((sample) => sample[key])) * 1.1 || 1;
  const [first, last] = [points[0], points[points.length - 1]];
  const line = points.map((sample) =>
    `${(100 * (sample.at - first.at)) / (last.at - first.at)},${40 - (40 * sample[key]) / top}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title} over ${span(last.at - first.at)}`);
  const drawn = document.createElementNS(svg.namespaceURI, "polyline");
  drawn.setAttribute("points", line.join(" "));
  svg.append(drawn);
  const head = make("div");
  head.append(make("span", "", title), make("b", "", show(last[key], unit, digits)));
  const foot = make("div");
  foot.append(make("span", "", `${span(last.at - first.at)} ago`), make("span", "", "now"));
  const box = make("div", "plot");
  box.append(head, svg, foot);
  return [box];
}

// --- events

function showEvents(events) {
  byId("no-events").hidden = events.length > 0;
  byId("events").replaceChildren(...events.map((event) => {
    const item = make("li");
    if (event.picture) {
      const picture = make("img");
      picture.src = `event/${encodeURIComponent(event.id)}?${event.duration_s}`;
      picture.alt = event.label;
      item.append(picture);
    }
    const text = make("div");
    const at = new Date(event.started_s * 1000).toLocaleTimeString();
    const where = [event.camera, ...event.zones].join(", ");
    text.append(
      make("strong", "", `${event.label} ${(event.top_score * 100).toFixed(0)} %`),
      make("small", "", `${at}, ${where}`),
      make("small", "", event.over ? `seen for ${span(event.duration_s)}` : "in view"));
    item.append(text);
    return item;
  }));
}

// --- all of it, again and again

function showState(state, reason) {
  byId("state").textContent = state;
  byId("state").className = `pill ${state}`;
  byId("reason").textContent = reason;
  document.title = state === "running" ? "spotterd" : `spotterd: ${state}`;
}

async function look() {
  try {
    const now = await (await fetch("now")).json();
    showState(now.state, now.reason);
    showCameras(now.cameras, now.figures);
    showNumbers(now);
    byId("plots").replaceChildren(...PLOTS.flatMap((what) => plot(now.history, what)));
    showEvents(now.events);
  } catch {
    showState("gone", "The daemon does not answer; trying again.");
  }
  setTimeout(look, NOW_MS);
}

look();
