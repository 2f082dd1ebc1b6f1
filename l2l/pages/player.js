"use strict";
/* Moments and the timeline move the player of their part of the page; the player moves the line on the timeline. */
for (const part of document.querySelectorAll(".watch")) {
  const player = part.querySelector("video"), bands = part.querySelector(".bands"), moments = part.querySelectorAll("button.moment");
  const left = Number(bands.dataset.left), length = Number(bands.dataset.right) - left;

  const show = (at) => {
    player.currentTime = Math.max(at, 0);
    player.play().catch(() => {});  /* a browser that plays nothing unasked still shows the picture */
  };
  const mark = () => bands.style.setProperty("--at", Math.min(Math.max((player.currentTime - left) / length, 0), 1));
  const give_up = () => {
    if (part.classList.contains("silent")) return;
    part.classList.add("silent");
    for (const moment of moments) moment.disabled = true;
  };

  for (const moment of moments) moment.addEventListener("click", () => show(Number(moment.dataset.at)));
  bands.addEventListener("click", (event) => {
    const band = bands.querySelector(".band").getBoundingClientRect();
    const share = (event.clientX - band.left) / band.width;
    if (share <= 1 && !part.classList.contains("silent")) show(left + share * length);
  });
  for (const name of ["timeupdate", "seeking"]) player.addEventListener(name, mark);
  player.addEventListener("error", give_up);
  player.querySelector("source:last-of-type").addEventListener("error", give_up);
  if (player.networkState === HTMLMediaElement.NETWORK_NO_SOURCE) give_up();  /* failed before this script ran */
}
