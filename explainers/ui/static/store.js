// Knows the question being asked and the answer on the screen; every part of the page listens here, none to another.

/** @import { Answer, Catalogue, Fit, Pane, Picture, Question, Running, Status, View } from "./types.js" */

const BUSY = ["asking", "working", "loading"];

/** A name for what was asked, by which its answer is known. */
const named = () => Math.random().toString(36).slice(2);

class Store {
  /** Elements of the page that are there already, in the order of their coming; see parts.js. @type {any} */
  parts = window.sightglass?.parts ?? [];
  /** What is on offer, told by the wire. @type {Catalogue} */
  catalogue = /** @type {any} */ (null);
  /** @type {Question} */
  question = {
    scene: "",
    picture: "",
    upload: "",
    model: "",
    method: "",
    target: null,
    versus: null,
    score: "",
    options: {},
    beside: {},
  };
  /** The whole answer on the screen, as far as it has come. @type {Answer | null} */
  answer = null;
  /** The picture on the screen. @type {Picture | null} */
  picture = null;
  /** The names of all classes of a network. @type {{ model: string, list: string[] }} */
  labels = { model: "", list: [] };
  /** @type {Status} */
  status = { state: "idle" };
  /** @type {View} */
  view = {
    opacity: 0.85,
    colors: null,
    sign: "both",
    outline: true,
    cells: false,
    truth: false,
    wipe: false,
    common: true,
    plain: false,
  };
  /** Asks Python; set by the wire. @type {(event: string, data: any) => void} */
  send = () => {};
  /**
   * What is asked beside the question, each over a connection of its own.
   * @type {Record<string, (data: any) => void>}
   */
  errands = {};
  /** The tab in sight. */
  tab = "why";
  /** What the tab in sight wants to have in the address. @type {Record<string, any>} */
  place = {};
  /** Seconds of one forward pass of this network here, once they were measured. @type {number | null} */
  pace = null;
  /** The methods whose maps stand side by side, best first. @type {string[]} */
  gathered = [];
  /** What draws each kind of result, by its name. @type {Record<string, import("./types.js").Renderer>} */
  kinds = {};
  /** Whether a second answer stands beside the first. */
  comparing = false;
  /** Whether the page is a figure in another page, without rail and tabs. */
  embedded = new URLSearchParams(location.search).get("view") === "1";

  #listeners = /** @type {Record<string, ((...data: any[]) => void)[]>} */ ({});
  #token = "";
  /** What was wrong with the question of the address. @type {Partial<Status> | null} */
  #fallen = null;
  /** The last question that was answered whole. @type {Question | null} */
  #good = null;
  /** And its answer, since previews of another one may stand in its place. @type {Answer | null} */
  #whole = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #wait;
  #running = /** @type {Record<string, Running>} */ ({});
  /** What the address said when the page was opened; the scripts of the parts come in any order. */
  #opened = new URLSearchParams(location.search);

  /**
   * @param {string} topic
   * @param {(...data: any[]) => void} listener
   * @returns {() => void} which ends it
   */
  on(topic, listener) {
    const known = (this.#listeners[topic] ??= []);
    known.push(listener);
    return () => {
      if (known.includes(listener)) known.splice(known.indexOf(listener), 1);
    };
  }

  /** @param {string} topic @param {...any} data */
  emit(topic, ...data) {
    for (const listener of [...(this.#listeners[topic] ?? [])]) listener(...data);
  }

  /**
   * Changes part of the question and asks it. What was running is asked to end; the old answer stays on the screen.
   * @param {Partial<Question>} changes
   */
  ask(changes = {}, { after = 0 } = {}) {
    Object.assign(this.question, changes);
    this.emit("question");
    clearTimeout(this.#wait);
    this.#wait = setTimeout(() => this.#send(), after);
  }

  stop() {
    if (!this.#token) return;
    this.send("stop", { token: this.#token });
    if (this.status.state !== "loading" || !this.answer) return;
    this.#token = ""; // a network cannot be stopped on its way here, but nobody has to wait for it
    this.#giveBack({
      state: "stopped",
      sentence: "Stopped waiting. The network is still being fetched, and will be here sooner next time.",
    });
  }

  busy() {
    return BUSY.includes(this.status.state);
  }

  /** Says what went wrong without losing anything. @param {string} sentence */
  complain(sentence, kind = "picture") {
    this.#setStatus({ state: "error", kind, sentence });
  }

  /** What Python tells of the question. @param {any} told */
  receive(told) {
    if (!told || told.token !== this.#token) return; // of a question that is no longer asked
    if (told.saved) return;
    if (told.picture && (told.panes || !this.answer)) this.#show(told.picture);
    if (told.state === "network") {
      this.#setStatus({ state: "loading", network: told.network, seconds: 0 });
      return this.send("open", { network: told.network, token: this.#token });
    }
    if (told.state === "loading") return this.#setStatus({ ...told });
    if (told.state === "loaded") return this.#send();
    // What was refused leaves everything as it was: the old answer on the screen, the old question in the rail.
    if (told.refusal?.kind === "error" && this.answer) {
      if (told.state === "done") this.#giveBack(told.refusal);
      return;
    }
    if (["error", "stopped"].includes(told.state) && !told.stopped) {
      if (this.answer) return this.#giveBack(told);
      if (!this.#fallen) return this.#fallBack(told);
    }
    if (told.network?.id) this.question.model = told.network.id; // a link may leave it to Python
    if (told.labels) this.labels = { model: this.question.model, list: told.labels };
    if (told.panes) {
      this.answer = told;
      if (told.panes[0]) this.question.method = told.panes[0].method;
      this.emit("answer");
    }
    const refused = told.state === "done" && told.refusal?.kind === "error" ? told.refusal : told;
    const { state, sentence, kind } = refused;
    this.#setStatus({ state, seconds: told.seconds, done: told.panes?.[0]?.done, sentence, kind });
    if (told.state === "done" || told.stopped) this.#settle();
  }

  /** No answer came at all. */
  failed() {
    const sentence = "No answer came: the server is full or out of reach. Nothing is lost; ask again.";
    this.#setStatus({ state: "error", kind: "unreached", sentence });
  }

  /**
   * What the address said about a tab when the page was opened.
   * @param {string} tab
   * @returns {Record<string, string>}
   */
  placed(tab) {
    if (this.#opened.get("tab") !== tab) return {};
    const own = [...this.#opened].filter(([name]) => name.startsWith("t."));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(2), value]));
  }

  /** Brings a tab into sight. What is chosen stands on the page as well, for the styles. @param {string} wanted */
  show(wanted) {
    const tab = this.catalogue.tabs.some((each) => each.id === wanted) ? wanted : "why";
    if (tab === this.tab) return;
    this.tab = tab;
    this.place = {};
    document.body.dataset.tab = tab;
    this.emit("tab", tab);
  }

  /**
   * Calls `refresh` when the tab comes into sight, and in sight whenever another question is answered.
   * @param {string} tab
   * @param {() => void} refresh
   */
  whileShown(tab, refresh) {
    let known = "";
    const look = () => {
      if (this.tab !== tab || !this.answer) return;
      const { question, picture } = this;
      const now = JSON.stringify([picture?.key, question.model, question.target, question.versus, question.score]);
      if (now === known) return;
      known = now;
      refresh();
    };
    this.on("tab", look);
    this.on("done", look);
    look();
  }

  /**
   * Asks a tab's own work of Python. What was asked under the same name before is stopped, and no longer heard.
   * @param {string} tab
   * @param {string} name
   * @param {Record<string, any>} data
   * @param {(told: any) => void} tell
   * @returns {Running}
   */
  run(tab, name, data, tell) {
    const event = `${tab}_${name}`;
    this.#running[event]?.stop();
    const token = named();
    let heard = true;
    const end = () => {
      heard = false;
      off();
    };
    const off = this.on(event, (told) => {
      if (!heard || told.token !== token) return;
      if (told.state !== "working") end();
      tell(told);
    });
    this.#running[event] = {
      // With `keep`, the last words are still heard: what there was until the stop.
      stop: ({ keep = false } = {}) => {
        if (!heard) return;
        if (!keep) end();
        this.send("stop", { token });
      },
    };
    this.errands[event]({ ...this.question, beside: {}, ...data, token });
    return this.#running[event];
  }

  /** The answer on the stage. @returns {Pane | null} */
  current() {
    return this.answer?.panes?.[0] ?? null;
  }

  /** Whether a method lays a heat over the picture, and so can stand beside others that do. @param {string} id */
  heats(id) {
    return this.method(id)?.kind === "heat";
  }

  /**
   * Other methods that lay a heat and apply, those first that are well known and take little.
   * @param {string} [id]
   * @returns {Fit[]}
   */
  others(id) {
    const order = (/** @type {Fit} */ fit) => {
      const method = this.method(fit.id);
      return (method?.classic ? 0 : 1e6) + (method?.takes ?? 0);
    };
    return (this.answer?.fits ?? [])
      .filter((fit) => !fit.why_not && fit.id !== id && this.heats(fit.id))
      .sort((a, b) => order(a) - order(b));
  }

  /** @param {string | undefined} id @returns {any} of class Method, if there is one of that name */
  method(id) {
    return this.catalogue.methods.find((method) => method.id === id);
  }

  #send() {
    if (this.#token && this.busy()) this.send("stop", { token: this.#token });
    this.#token = named();
    this.#setStatus({ state: "asking", since: performance.now() });
    this.send("ask", {
      ...this.question,
      token: this.#token,
      knows_picture: this.picture?.key ?? "",
      knows_labels: this.labels.model,
    });
  }

  /** @param {Status} status */
  #setStatus(status) {
    this.status = status;
    this.emit("status");
  }

  /** @param {Picture} picture */
  #show(picture) {
    this.picture = picture;
    Object.assign(this.question, { picture: picture.key, scene: picture.scene });
    if (picture.scene) this.question.upload = "";
    if (!this.answer) this.emit("picture");
  }

  #settle() {
    this.#good = structuredClone(this.question);
    this.#whole = this.answer;
    this.emit("done");
    if (this.#fallen?.sentence) this.#setStatus(/** @type {Status} */ (this.#fallen));
    this.#fallen = this.#fallen && {};
  }

  /** A link that asks what cannot be answered: the page opens as for anybody, and says it. @param {Status} told */
  #fallBack({ state, sentence, kind }) {
    this.#fallen = { state, sentence, kind };
    Object.assign(this.question, {
      scene: this.catalogue.welcome,
      picture: "",
      upload: "",
      model: this.catalogue.networks[0].id,
      method: "",
      target: null,
      versus: null,
      score: this.catalogue.score,
      options: {},
      beside: {},
    });
    this.#send();
  }

  /** @param {{ state: string, sentence: string, kind?: string }} told */
  #giveBack({ state, sentence, kind }) {
    Object.assign(this.question, structuredClone(this.#good ?? this.question));
    this.answer = this.#whole ?? this.answer;
    this.#setStatus({ state, sentence, kind });
    this.emit("question");
    this.emit("answer");
  }
}

/** The one name of this page outside its modules: gradio's own callbacks and curious people know it. */
export const sightglass = new Store();
window.sightglass = sightglass;
export { named };
