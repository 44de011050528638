// The shell: who is logged in, which sessions there are, which is shown.
import { render } from "./vendor/preact.js";
import { useEffect, useState } from "./vendor/hooks.js";
import * as api from "./api.js";
import { html } from "./html.js";
import { Chat } from "./views/chat.js";

const chosen = () => /^#session=([0-9a-f-]+)$/.exec(location.hash)?.[1] ?? "";

function App() {
  const [sessions, setSessions] = useState(/** @type {any[] | null} */ (null));
  const [query, setQuery] = useState("");
  const [shown, setShown] = useState(chosen());
  const [isOut, setIsOut] = useState(false);
  const [trouble, setTrouble] = useState("");
  const [workspace, setWorkspace] = useState("");

  const failed = (/** @type {unknown} */ error) => {
    if (error instanceof api.Refused && error.status === 401) setIsOut(true);
    else setTrouble(error instanceof Error ? error.message : String(error));
  };
  const load = async () => {
    try {
      const found = (await api.listSessions(query)).sessions;
      setSessions(found);
      setWorkspace((folder) => folder || found[0]?.workspace || "");
      setIsOut(false);
    } catch (error) {
      failed(error);
    }
  };
  useEffect(() => {
    const wait = setTimeout(load, query ? 250 : 0);
    return () => clearTimeout(wait);
  }, [query]);
  useEffect(() => {
    const moved = () => setShown(chosen());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);

  const create = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const made = await api.createSession(workspace.trim());
      await load();
      location.hash = `session=${made.id}`;
    } catch (error) {
      failed(error);
    }
  };

  if (isOut) return html`<${Login} done=${load} />`;
  return html`
    ${trouble && html`<div class="trouble" role="alert">${trouble} <button onClick=${() => setTrouble("")}>Close</button></div>`}
    <div class="shell" data-shown=${shown ? "chat" : "list"}>
      <nav aria-label="Sessions">
        <a class="home" href="#">Claude Agent</a>
        <form onSubmit=${create}>
          <input aria-label="Folder of a new session" placeholder="/folder/to/work/in" required value=${workspace}
            onInput=${(/** @type {any} */ event) => setWorkspace(event.target.value)} />
          <button>New</button>
        </form>
        <input type="search" aria-label="Search in sessions" placeholder="Search" value=${query}
          onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} />
        <ul>
          ${sessions?.map((session) => html`<li key=${session.id}>
            <a href=${`#session=${session.id}`} aria-current=${session.id === shown ? "page" : undefined}>
              ${session.title || "New session"}<small>${session.workspace}${session.active_turn ? " · at work" : ""}</small>
            </a>
          </li>`)}
        </ul>
        ${sessions?.length === 0 && html`<p class="note">${query ? "Nothing holds these words." : "No session yet. Name a folder and press New."}</p>`}
      </nav>
      ${shown
        ? html`<${Chat} key=${shown} id=${shown} changed=${load} failed=${failed} />`
        : html`<main class="empty"><h1>Claude Agent</h1><p>Choose a session, or begin a new one in a folder.</p></main>`}
    </div>`;
}

/** @param {{done: () => void}} props */
function Login({ done }) {
  const [token, setToken] = useState("");
  const [why, setWhy] = useState("");
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await api.login(token.trim());
      done();
    } catch (error) {
      setWhy(error instanceof api.Refused && error.status === 401 ? "That is not the token of this daemon." : String(error));
    }
  };
  return html`<main class="empty"><h1>Claude Agent</h1>
    <p>Open the link that <code>claude-agent serve</code> printed; it works once. Or enter the token, which is in the file that it names.</p>
    <form class="login" onSubmit=${enter}>
      <input type="password" aria-label="Token" required autocomplete="off" value=${token} onInput=${(/** @type {any} */ event) => setToken(event.target.value)} />
      <button>Log in</button>
    </form>
    ${why && html`<p class="error" role="alert">${why}</p>`}
  </main>`;
}

// The code stands behind the #, which browsers send to nobody; it leaves the history before it is used.
const code = /^#login=(.+)$/.exec(location.hash)?.[1];
if (code) {
  history.replaceState(null, "", "/");
  await api.login(code).catch(() => {});
}
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
