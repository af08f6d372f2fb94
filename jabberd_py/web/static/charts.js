// Keeps the charts of the overview up to date: one small request every ten seconds, while somebody looks.
"use strict";
const charts = document.querySelector("[data-live]");
async function renew() {
  if (document.hidden) return;
  const answer = await fetch(charts.dataset.live, { headers: { Accept: "application/json" } });
  if (!answer.ok) return clearInterval(timer);
  for (const each of Object.values(await answer.json())) {
    const chart = document.getElementById("chart-" + each.name);
    chart.querySelector(".now").textContent = each.now;
    chart.querySelector(".most").textContent = each.most;
    chart.querySelector(".line").setAttribute("points", each.points);
    chart.querySelector(".area").setAttribute("points", each.area);
  }
}
const timer = setInterval(() => renew().catch(() => {}), 10000);
