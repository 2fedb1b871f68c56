// MLflow's client prints links of its own pages: they lead to ours.
const run = location.hash.match(/^#\/experiments\/(\d+)(?:\/runs\/(\w+))?/);
if (run) location.replace(run[2] ? `/runs/${run[2]}` : `/experiments/${run[1]}`);

// Listens to the event stream and tells the page, at most once per interval, that something changed.
// The page's <main> asks the server for itself again on the "live" event.
const INTERVAL_MS = 700;
const stream = document.body.dataset.stream;
if (stream && window.EventSource) {
  let timer = null;
  let source = null;
  const status = document.getElementById("live-status");
  const say = (text, on) => {
    if (!status) return;
    status.textContent = text;
    status.classList.toggle("on", on);
  };
  const listen = () => {
    if (source) return;
    source = new EventSource(stream);
    source.addEventListener("open", () => say("live", true));
    source.addEventListener("error", () => say("reconnecting", false));
    source.addEventListener("change", () => {
      if (timer === null) {
        timer = setTimeout(() => {
          timer = null;
          const field = document.activeElement;
          const typing = field && /^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName);
          const tell = () => document.body.dispatchEvent(new Event("live"));
          if (typing) field.addEventListener("blur", tell, { once: true });
          else tell();
        }, INTERVAL_MS);
      }
    });
  };
  // A page kept for the back button must not hold its connection: a browser has six for a server.
  addEventListener("pagehide", () => {
    source?.close();
    source = null;
  });
  addEventListener("pageshow", (event) => {
    listen();
    if (event.persisted) document.body.dispatchEvent(new Event("live"));
  });
  listen();
}
