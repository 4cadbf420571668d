"use strict";
// Slide and labels on one canvas: wheel zooms, dragging moves, boxes switch classes.
const data = JSON.parse(document.getElementById("data").textContent);
const stage = document.getElementById("stage");
const canvas = document.getElementById("canvas");
const opacity = document.getElementById("opacity");
const boxes = Array.from(document.querySelectorAll("input[data-label]"));
const paper = canvas.getContext("2d");
const slide = document.getElementById("slide");
const labels = document.getElementById("labels");
const overlay = document.createElement("canvas");
const view = { zoom: 1, x: 0, y: 0 }; // screen pixels per slide pixel; slide pixel in the middle
let ids = null;

function paint() {
  const on = new Set(boxes.filter((box) => box.checked).map((box) => Number(box.dataset.label)));
  const picture = new ImageData(overlay.width, overlay.height);
  const colour = new Uint32Array(256);
  for (const item of data.classes) {
    if (on.has(item.id)) colour[item.id] = ((255 << 24) | (item.colour[2] << 16) | (item.colour[1] << 8) | item.colour[0]) >>> 0;
  }
  const pixels = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < ids.length; i += 1) pixels[i] = colour[ids[i]];
  overlay.getContext("2d").putImageData(picture, 0, 0);
  draw();
}

function niceLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most) || power;
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = stage.clientWidth * ratio;
  canvas.height = stage.clientHeight * ratio;
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper.imageSmoothingEnabled = view.zoom < 2;
  const left = stage.clientWidth / 2 - view.x * view.zoom;
  const top = stage.clientHeight / 2 - view.y * view.zoom;
  const width = data.width * view.zoom;
  const height = data.height * view.zoom;
  paper.drawImage(slide, left, top, width, height);
  paper.globalAlpha = Number(opacity.value) / 100;
  paper.drawImage(overlay, left, top, width, height);
  paper.globalAlpha = 1;
  const perPixel = data.um_per_px === null ? 1 : data.um_per_px;
  const length = niceLength((140 / view.zoom) * perPixel);
  document.getElementById("length").style.width = (length / perPixel) * view.zoom + "px";
  const text = data.um_per_px === null ? length + " px" : length >= 1000 ? length / 1000 + " mm" : length + " µm";
  document.getElementById("said").textContent = text;
}

function fit() {
  view.zoom = Math.min(stage.clientWidth / data.width, stage.clientHeight / data.height);
  view.x = data.width / 2;
  view.y = data.height / 2;
  draw();
}

function zoomBy(factor, x, y) {
  const before = view.zoom;
  const least = 0.5 * Math.min(stage.clientWidth / data.width, stage.clientHeight / data.height);
  view.zoom = Math.min(32, Math.max(least, view.zoom * factor));
  view.x += (x - stage.clientWidth / 2) * (1 / before - 1 / view.zoom);
  view.y += (y - stage.clientHeight / 2) * (1 / before - 1 / view.zoom);
  draw();
}

stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = stage.getBoundingClientRect();
  zoomBy(Math.exp(-event.deltaY / 400), event.clientX - at.left, event.clientY - at.top);
}, { passive: false });
stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
stage.addEventListener("pointermove", (event) => {
  if (!event.buttons) return;
  view.x -= event.movementX / view.zoom;
  view.y -= event.movementY / view.zoom;
  draw();
});
document.getElementById("in").addEventListener("click", () => zoomBy(1.5, stage.clientWidth / 2, stage.clientHeight / 2));
document.getElementById("out").addEventListener("click", () => zoomBy(1 / 1.5, stage.clientWidth / 2, stage.clientHeight / 2));
document.getElementById("fit").addEventListener("click", fit);
opacity.addEventListener("input", draw);
for (const box of boxes) box.addEventListener("change", paint);
window.addEventListener("resize", draw);

Promise.all([slide.decode(), labels.decode()]).then(() => {
  overlay.width = labels.naturalWidth;
  overlay.height = labels.naturalHeight;
  const reader = overlay.getContext("2d", { willReadFrequently: true });
  reader.drawImage(labels, 0, 0);
  const read = reader.getImageData(0, 0, overlay.width, overlay.height).data;
  ids = new Uint8Array(read.length / 4);
  for (let i = 0; i < ids.length; i += 1) ids[i] = read[4 * i];
  fit();
  paint();
  stage.dataset.ready = "yes";
});
