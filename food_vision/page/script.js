// The page's only script. A photo is {file} or {link}: look() sends it, the rest shows what came back.
// Whatever comes from a user, a link or the service reaches the page as text, never as markup.

const DISHES_SHOWN = 5;
const LARGEST_SET_NAMED = 5;
const MAX_BYTES = Number(document.body.dataset.maxPhotoBytes);
const KEY_VARIABLE = "FOOD_VISION_CLIENT_KEY";
const JSON_TYPE = "application/json";
const PNG = "image/png";
const MAP_SIDE = 640;
const SHADE = "16 12 9";
const DARKEST = 0.92;
const FALL = 1.7; // Parts of middling weight stay visible too.

const element = (id) => document.getElementById(id);

// The key lives here and nowhere else: in no storage, no cookie and no address.
const state = { apiKey: "", photo: {}, answer: {}, again: () => {}, asking: new AbortController(), blobs: [] };

// ---------------------------------------------------------------- talking to the service

class Trouble extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Post a photo; the answer, whatever its kind. A question that comes later puts an end to one that is under way. */
async function ask(address, photo, accept) {
  state.asking.abort();
  state.asking = new AbortController();
  const headers = { Accept: accept };
  if (state.apiKey) headers["X-API-Key"] = state.apiKey;
  if (photo.link) headers["Content-Type"] = JSON_TYPE;
  const body = photo.link ? JSON.stringify({ url: photo.link }) : formOf(photo.file);
  return checked(await fetched(address, { method: "POST", headers, body, signal: state.asking.signal }));
}

function formOf(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  return form;
}

async function fetched(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble({ detail: "The service cannot be reached. Is the connection up?", passing: true });
  }
}

async function checked(response) {
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = `The service answered with status ${response.status} and did not say why.`;
  throw new Trouble({ detail, ...problem, passing: response.status === 429 || response.status >= 500 });
}

function addressOf(route, options = {}) {
  const address = new URL(route, document.baseURI);
  for (const [name, value] of Object.entries(options)) address.searchParams.set(name, value);
  return address.href;
}

// ---------------------------------------------------------------- a photo comes in

function takeFile(file) {
  if (file.size <= MAX_BYTES) return look({ file });
  const sizes = `This photo has ${megabytes(file.size)}, and at most ${megabytes(MAX_BYTES)} are taken.`;
  return showProblem({ detail: `${sizes} Save it smaller and try again.` });
}

function takeLink(text) {
  const link = linkIn(text.trim());
  if (link) return look({ link });
  return showProblem({ detail: "This is not a link to a photo. It should begin with https:// or http://." });
}

/** Take what was dropped or pasted; tell whether there was anything. */
function takeTransfer(transfer) {
  const [file] = transfer.files;
  const [text] = (transfer.getData("text/uri-list") || transfer.getData("text/plain")).split(/\r?\n/);
  if (file) takeFile(file);
  else if (text) takeLink(text);
  return Boolean(file || text);
}

/** The address a text means, as a browser would write it; null where it means none. */
function linkIn(text) {
  const written = urlOf(text);
  if (written && isWeb(written)) return written.href;
  const beginsWithHost = /^[^\s/:@?#]+\.[^\s/:@?#]+/.test(text);
  return beginsWithHost ? (urlOf(`https://${text}`)?.href ?? null) : null;
}

function urlOf(text, base) {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}

function isWeb(url) {
  return url.protocol === "https:" || url.protocol === "http:";
}

async function look(photo) {
  state.photo = photo;
  state.again = () => look(photo);
  const address = addressOf("v1/predict", { top_k: DISHES_SHOWN });
  showBusy("Looking at the photo…");
  showPhoto(photo);
  try {
    const response = await ask(address, photo, JSON_TYPE);
    showAnswer(await response.json());
    showCommand(photo, address);
  } catch (error) {
    if (error instanceof Trouble) showProblem(error.problem);
    else if (error.name !== "AbortError") throw error;
  }
}

function showBusy(words) {
  document.body.dataset.state = "busy";
  for (const id of ["problem", "key-form", "terminal"]) element(id).hidden = true;
  element("result").hidden = false;
  element("status").textContent = words;
}

function showPhoto(photo) {
  state.blobs.splice(0).forEach((address) => URL.revokeObjectURL(address));
  hideMap();
  element("link").value = photo.link ?? "";
  if (photo.link) element("host").textContent = new URL(photo.link).host;
  else showPicture(photo.file, "Your photo");
}

function showPicture(blob, description) {
  const address = URL.createObjectURL(blob);
  state.blobs.push(address);
  Object.assign(element("photo"), { src: address, alt: description, hidden: false });
}

// ---------------------------------------------------------------- an answer goes out

function showAnswer(answer) {
  const notFood = answer.food === false;
  state.answer = answer;
  document.body.dataset.state = "answer";
  element("result").classList.toggle("not-food", notFood);
  element("dish").textContent = notFood ? "This is probably not food" : titleOf(answer);
  element("sure").textContent = notFood ? "" : `${percent(answer.score)} sure`;
  element("set").textContent = notFood ? `but if it is, it looks most like ${answer.dish}` : inWords(answer.prediction_set);
  element("promise").textContent = notFood ? "" : promiseOf(answer);
  element("ranking").replaceChildren(...answer.predictions.map(rankedDish));
  element("map-dish").replaceChildren(...answer.predictions.map(({ dish }) => new Option(dish, dish)));
  element("facts").textContent = factsOf(answer);
  element("status").textContent = ["dish", "set", "sure"].map((id) => element(id).textContent).filter(Boolean).join(", ");
}

/** A dish that is more likely wrong than right gets a question mark. */
function titleOf({ dish, score }) {
  return score < 0.5 ? `${capital(dish)}?` : capital(dish);
}

function rankedDish({ dish, score }) {
  const row = document.createElement("li");
  const bar = span("bar", "");
  bar.style.setProperty("--score", score);
  row.append(span("name", dish), span("score", percent(score)), bar);
  return row;
}

function span(name, text) {
  const made = document.createElement("span");
  made.className = name;
  made.textContent = text;
  return made;
}

/** The prediction set as it goes on after the dish's name; nothing where the model has none. */
function inWords(set) {
  if (!set) return "";
  if (set.length === 0) return "though none of the dishes it knows fits well";
  if (set.length === 1) return "and nothing else comes close";
  if (set.length > LARGEST_SET_NAMED) return `or any of ${set.length - 1} other dishes: it is hard to tell`;
  const others = set.slice(1);
  const last = others.pop();
  return `or perhaps ${others.length ? `${others.join(", ")} or ${last}` : last}`;
}

function promiseOf({ prediction_set: set, coverage }) {
  if (!set?.length || !coverage) return "";
  return `The right dish is among those named for ${Math.round(100 * coverage)} photos in 100.`;
}

function factsOf({ photo, model, timings_ms: timings }) {
  const spent = Object.values(timings ?? {}).reduce((sum, part) => sum + part, 0);
  return `${photo.width} × ${photo.height} ${photo.format} · ${spent.toFixed(0)} ms · ${model.name} ${model.version}`;
}

function percent(score) {
  if (score > 0.995) return "over 99%";
  return score < 0.01 ? "under 1%" : `${Math.round(100 * score)}%`;
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// ---------------------------------------------------------------- what gave it away

function hideMap() {
  element("map").hidden = true;
  element("map-settings").hidden = true;
  element("show-map").setAttribute("aria-expanded", "false");
  element("photo").hidden = Boolean(state.photo.link);
  element("elsewhere").hidden = !state.photo.link;
}

function toggleMap() {
  if (element("show-map").getAttribute("aria-expanded") === "true") return hideMap();
  element("show-map").setAttribute("aria-expanded", "true");
  element("map-settings").hidden = false;
  element("strength-setting").hidden = Boolean(state.photo.link);
  return showMap();
}

async function showMap() {
  const { photo } = state;
  const dish = element("map-dish").value;
  const address = addressOf("v1/explain", { dish });
  tell("Covering one part after the other…");
  try {
    if (photo.link) await showOverlay(photo, address);
    else drawMap(await gridFor(photo, address), state.answer.photo);
    tell(`The bright parts speak for ${dish}.`);
    showCommand(photo, address, photo.link ? ` -H 'Accept: ${PNG}' -o map.png` : "");
  } catch (error) {
    if (!(error instanceof Trouble) && error.name !== "AbortError") throw error;
    if (error instanceof Trouble) tell(error.message);
  }
}

function tell(words) {
  element("map-note").textContent = words;
  element("status").textContent = words;
}

async function gridFor(photo, address) {
  const answer = await (await ask(address, photo, JSON_TYPE)).json();
  return answer.explanation;
}

/** Darken the photo where it does not matter. The canvas lies over the whole photo, the grid over its `area`. */
function drawMap({ grid, area }, { width, height }) {
  const canvas = element("map");
  const scale = MAP_SIDE / Math.max(width, height);
  Object.assign(canvas, { width: Math.ceil(width * scale), height: Math.ceil(height * scale), hidden: false });
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = `rgb(${SHADE} / ${DARKEST})`;
  pen.fillRect(0, 0, width, height);
  pen.clearRect(area.left, area.top, area.width, area.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(shadeOf(grid), area.left, area.top, area.width, area.height);
}

/** The grid as a picture of a pixel per cell. */
function shadeOf(grid) {
  const cells = Object.assign(document.createElement("canvas"), { width: grid[0].length, height: grid.length });
  const pen = cells.getContext("2d");
  grid.forEach((row, y) => row.forEach((weight, x) => {
    pen.fillStyle = `rgb(${SHADE} / ${DARKEST * (1 - weight) ** FALL})`;
    pen.fillRect(x, y, 1, 1);
  }));
  return cells;
}

/** A photo elsewhere cannot be shown by this page; the service's own picture of photo and map can. */
async function showOverlay(photo, address) {
  const response = await ask(address, photo, PNG);
  showPicture(await response.blob(), "The photo as the service saw it, bright where it speaks for the dish");
  element("elsewhere").hidden = true;
}

// ---------------------------------------------------------------- problems

function showProblem(problem) {
  const keyAsked = problem.code === "missing_key" || problem.code === "wrong_key";
  document.body.dataset.state = "problem";
  element("result").hidden = true;
  element("terminal").hidden = true;
  element("status").textContent = "";
  element("problem-text").textContent = problem.detail;
  element("problem-id").textContent = problem.request_id ? `Request ${problem.request_id}` : "";
  showHelp(urlOf(problem.type ?? "", document.baseURI), Boolean(problem.type));
  element("again").hidden = !problem.passing;
  element("problem").hidden = false;
  element("key-form").hidden = !keyAsked;
  if (keyAsked) element("key").focus();
}

function showHelp(address, known) {
  const link = element("problem-help");
  link.hidden = !known || !address || !isWeb(address);
  if (!link.hidden) link.href = address.href;
}

function takeKey(event) {
  event.preventDefault();
  const key = element("key").value.trim();
  element("key").value = "";
  // A header takes no other characters, and fetch would call that a failure of the network.
  if (!/^[\x21-\x7e]+$/.test(key)) return element("key").focus();
  state.apiKey = key;
  return state.again();
}

// ---------------------------------------------------------------- the same from a terminal

function showCommand(photo, address, options = "") {
  element("curl").textContent = commandFor(photo, address) + options;
  element("terminal").hidden = false;
  element("copy").textContent = "Copy";
}

/** The curl line that asks the same; every word of it that is not ours stands in single quotes. */
function commandFor(photo, address) {
  const key = state.apiKey ? ` -H "X-API-Key: $${KEY_VARIABLE}"` : "";
  const body = photo.link
    ? `-H 'Content-Type: ${JSON_TYPE}' -d ${quoted(JSON.stringify({ url: photo.link }))}`
    : `-F ${quoted(`file=@${quotedForCurl(photo.file.name)}`)}`;
  return `curl${key} ${body} ${quoted(address)}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** curl gives ; , and " a meaning in -F. A name with control characters would reach a terminal as key strokes. */
function quotedForCurl(name) {
  const harmless = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name) ? "photo" : name;
  return `"./${harmless.replace(/["\\]/g, "\\$&")}"`;
}

async function copyCommand() {
  const copied = await navigator.clipboard?.writeText(element("curl").textContent).then(() => true, () => false);
  element("copy").textContent = copied || copiedTheOldWay() ? "Copied" : "Select it";
}

/** Browsers keep their clipboard from pages that come without TLS, as on an intranet; a selection they do copy. */
function copiedTheOldWay() {
  getSelection().selectAllChildren(element("curl"));
  return document.execCommand("copy");
}

// ---------------------------------------------------------------- the rest

async function nameDishes() {
  const list = element("dish-names");
  if (!element("dishes").open || list.childElementCount) return;
  const headers = state.apiKey ? { "X-API-Key": state.apiKey } : {};
  try {
    const { labels } = await (await checked(await fetched(addressOf("v1/labels"), { headers }))).json();
    list.replaceChildren(...labels.map((label) => span("name", label.name)));
  } catch (error) {
    list.textContent = error.message;
  }
}

function listen() {
  const on = (id, event, act) => element(id).addEventListener(event, act);
  for (const [button, input] of [["choose", "picked"], ["camera", "taken"]]) {
    on(button, "click", () => element(input).click());
    on(input, "change", ({ target }) => {
      if (target.files[0]) takeFile(target.files[0]);
      target.value = ""; // The same photo may be chosen again.
    });
  }
  on("link-form", "submit", (event) => {
    event.preventDefault();
    takeLink(element("link").value);
  });
  on("key-form", "submit", takeKey);
  on("again", "click", () => state.again());
  on("show-map", "click", toggleMap);
  on("map-dish", "change", showMap);
  on("strength", "input", ({ target }) => element("map").style.setProperty("opacity", target.value / 100));
  on("copy", "click", copyCommand);
  on("dishes", "toggle", nameDishes);
  listenForDropAndPaste();
}

function listenForDropAndPaste() {
  const dragging = (yes) => document.body.classList.toggle("dragging", yes);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => dragging(Boolean(relatedTarget)));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    takeTransfer(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    // Text pasted into a field belongs to the field; a photo never does.
    const intoField = event.target.closest?.("input");
    if (event.clipboardData.files.length === 0 && intoField) return;
    if (takeTransfer(event.clipboardData)) event.preventDefault();
  });
}

listen();
