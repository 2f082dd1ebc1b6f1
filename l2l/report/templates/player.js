"use strict";
/* Moments and the timeline move the player of their part of the page; the player moves the line on the timeline.
   Read in the head, so that no error of a player is missed: none says afterwards that it has failed for good. */
const MOST = 3;  /* times its own pixels: a small film is not blown up to the page's width */
const failed = new WeakSet();

const mark_silent = (part) => {
  const player = part.querySelector("video");
  if (!failed.has(player) && !failed.has(player.lastElementChild)) return;
  part.classList.add("silent");
  for (const moment of part.querySelectorAll("button.moment")) moment.disabled = true;
};

const connect = (part) => {
  const player = part.querySelector("video"), bands = part.querySelector(".bands");
  const left = Number(bands.dataset.left), length = Number(bands.dataset.right) - left;
  const begin = Number(player.dataset.begin);

  const show = (at) => {
    player.currentTime = Math.max(at + begin, 0);
    player.play().catch(() => {});  /* a browser that plays nothing unasked still shows the picture */
  };
  const mark = () => bands.style.setProperty("--at", Math.min(Math.max((player.currentTime - begin - left) / length, 0), 1));

  const fit = () => { if (player.videoWidth) player.style.maxWidth = `${MOST * player.videoWidth}px`; };

  for (const moment of part.querySelectorAll("button.moment")) {
    moment.addEventListener("click", () => show(Number(moment.dataset.at)));
  }
  bands.addEventListener("click", (event) => {
    const band = bands.querySelector(".band").getBoundingClientRect();
    const share = (event.clientX - band.left) / band.width;
    if (share <= 1 && !part.classList.contains("silent")) show(left + share * length);
  });
  for (const name of ["timeupdate", "seeking"]) player.addEventListener(name, mark);
  player.addEventListener("loadedmetadata", fit);
  fit();
};

document.addEventListener("error", (event) => {
  failed.add(event.target);
  const part = event.target.closest(".watch");
  if (part && document.readyState !== "loading") mark_silent(part);
}, true);
document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".watch")) {
    connect(part);
    mark_silent(part);
  }
});
