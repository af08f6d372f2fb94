// Follows the log while somebody looks.
"use strict";
const button = document.getElementById("follow"), lines = document.getElementById("lines");
let source = null;
document.getElementById("live").hidden = false;
button.addEventListener("click", () => {
  if (source) {
    source.close();
    source = null;
    button.textContent = "Follow live";
    return;
  }
  lines.hidden = false;
  button.textContent = "Stop";
  source = new EventSource(button.dataset.events);
  source.onmessage = (event) => {
    lines.prepend(document.createTextNode(event.data + "\n"));
    while (lines.childNodes.length > 500) lines.lastChild.remove();
  };
});
