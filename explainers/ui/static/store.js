// Knows the question being asked and the answer on the screen; every part of the page listens here, none to another.
// biome-ignore lint/correctness/noUnusedVariables: the scripts of a part, which stand below this one, use it
const sightglass = (window.sightglass ??= (() => {
  const listeners = {};
  const store = {
    catalogue: null, // what is on offer, from the server
    question: {
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
    },
    answer: null, // the whole answer on the screen, as far as it has come
    picture: null, // the picture on the screen: size and address
    labels: { model: "", list: [] },
    status: { state: "idle" },
    view: {
      opacity: 0.85,
      colors: null,
      sign: "both",
      outline: true,
      cells: false,
      truth: false,
      wipe: false,
      common: true,
      plain: false,
    },
    send: null, // set by the wire
    errands: (window.sightglassErrands ??= {}), // what is asked beside the question, each over a connection of its own
    tab: "why", // the tab in sight
    place: {}, // what the tab in sight wants to have in the address
    pace: null, // seconds of one forward pass of this network here, once they were measured
  };
  let token = "";
  let fallen = null; // what was wrong with the question of the address
  let good = null; // the last question that was answered whole
  let whole = null; // and its answer, since previews of another one may stand in its place
  let wait = 0;

  store.on = (topic, listener) => {
    const known = (listeners[topic] ??= []);
    known.push(listener);
    return () => known.includes(listener) && known.splice(known.indexOf(listener), 1);
  };
  store.emit = (topic, ...data) => {
    for (const listener of [...(listeners[topic] ?? [])]) listener(...data);
  };

  // Change part of the question and ask it. What was running is asked to end; the old answer stays on the screen.
  store.ask = (changes = {}, { after = 0 } = {}) => {
    Object.assign(store.question, changes);
    store.emit("question");
    clearTimeout(wait);
    wait = setTimeout(send, after);
  };
  store.stop = () => {
    if (!token) return;
    store.send("stop", { token });
    if (store.status.state !== "loading" || !store.answer) return;
    token = ""; // a network cannot be stopped on its way here, but nobody has to wait for it
    giveBack({
      state: "stopped",
      sentence: "Stopped waiting. The network is still being fetched, and will be here sooner next time.",
    });
  };

  function send() {
    if (token && store.busy()) store.send("stop", { token });
    token = Math.random().toString(36).slice(2);
    setStatus({ state: "asking", since: performance.now() });
    store.send("ask", {
      ...store.question,
      token,
      knows_picture: store.picture?.key ?? "",
      knows_labels: store.labels.model,
    });
  }
  store.busy = () => ["asking", "working", "loading"].includes(store.status.state);

  function setStatus(status) {
    store.status = status;
    store.emit("status");
  }

  store.receive = (told) => {
    if (!told || told.token !== token) return; // of a question that is no longer asked
    if (told.saved) return;
    if (told.picture && (told.panes || !store.answer)) {
      store.picture = told.picture;
      Object.assign(store.question, { picture: told.picture.key, scene: told.picture.scene });
      if (told.picture.scene) store.question.upload = "";
      if (!store.answer) store.emit("picture");
    }
    if (told.state === "network") {
      setStatus({ state: "loading", network: told.network, seconds: 0 });
      return store.send("open", { network: told.network, token });
    }
    if (told.state === "loading") return setStatus({ ...told });
    if (told.state === "loaded") return send();
    // What was refused leaves everything as it was: the old answer on the screen, the old question in the rail.
    if (told.refusal?.kind === "error" && store.answer) {
      if (told.state === "done") giveBack(told.refusal);
      return;
    }
    if (["error", "stopped"].includes(told.state) && !told.stopped) {
      if (store.answer) return giveBack(told);
      if (!fallen) return fallBack(told);
    }
    if (told.labels) store.labels = { model: store.question.model, list: told.labels };
    if (told.panes) {
      store.answer = told;
      if (told.panes[0]) store.question.method = told.panes[0].method;
      store.emit("answer");
    }
    const refused = told.state === "done" && told.refusal?.kind === "error" ? told.refusal : told;
    setStatus({
      state: refused.state,
      seconds: told.seconds,
      done: told.panes?.[0]?.done,
      sentence: refused.sentence,
      kind: refused.kind,
    });
    if (told.state === "done" || told.stopped) {
      good = structuredClone(store.question);
      whole = store.answer;
      store.emit("done");
      if (fallen?.sentence) setStatus(fallen);
      fallen = fallen && {};
    }
  };
  // A link that asks what cannot be answered: the page opens as for anybody, and says what was wrong.
  function fallBack({ state, sentence, kind }) {
    fallen = { state, sentence, kind };
    Object.assign(store.question, {
      scene: store.catalogue.welcome,
      picture: "",
      upload: "",
      model: store.catalogue.networks[0].id,
      method: "",
      target: null,
      versus: null,
      score: store.catalogue.score,
      options: {},
      beside: {},
    });
    send();
  }
  function giveBack({ state, sentence, kind }) {
    Object.assign(store.question, structuredClone(good ?? store.question));
    store.answer = whole ?? store.answer;
    setStatus({ state, sentence, kind });
    store.emit("question");
    store.emit("answer");
  }
  store.failed = () =>
    setStatus({
      state: "error",
      kind: "unreached",
      sentence: "No answer came: the server is full or out of reach. Nothing is lost; ask again.",
    });

  // What the address said about a tab when the page was opened; the scripts of the parts come in any order.
  const opened = new URLSearchParams(location.search);
  store.placed = (tab) =>
    opened.get("tab") === tab
      ? Object.fromEntries(
          [...opened].filter(([name]) => name.startsWith("t.")).map(([name, value]) => [name.slice(2), value]),
        )
      : {};
  // Tabs. What is chosen stands on the page as well, for the styles.
  store.show = (tab) => {
    if (!store.catalogue.tabs.some((each) => each.id === tab)) tab = "why";
    if (tab === store.tab) return;
    store.tab = tab;
    store.place = {};
    document.body.dataset.tab = tab;
    store.emit("tab", tab);
  };
  // Call `refresh` when the tab comes into sight, and in sight whenever another question is answered.
  store.whileShown = (tab, refresh) => {
    let known = null;
    const look = () => {
      if (store.tab !== tab || !store.answer) return;
      const { question, picture } = store;
      const now = JSON.stringify([picture?.key, question.model, question.target, question.versus, question.score]);
      if (now === known) return;
      known = now;
      refresh();
    };
    store.on("tab", look);
    store.on("done", look);
    look();
    return () => ((known = null), look());
  };
  // Ask a tab's own work of Python. What was asked under the same name before is stopped, and no longer heard.
  const running = {};
  store.run = (tab, name, data, tell) => {
    const event = `${tab}_${name}`;
    running[event]?.stop();
    const token = Math.random().toString(36).slice(2);
    let heard = true;
    const end = () => {
      heard = false;
      off();
    };
    const off = store.on(event, (told) => {
      if (!heard || told.token !== token) return;
      if (told.state !== "working") end();
      tell(told);
    });
    running[event] = {
      // With `keep`, the last words are still heard: what there was until the stop.
      stop: ({ keep = false } = {}) => {
        if (!heard) return;
        if (!keep) end();
        store.send("stop", { token });
      },
    };
    store.errands[event]({ ...store.question, beside: {}, ...data, token });
    return running[event];
  };

  // Elements without templates: what comes from a foreign network is always text, never markup.
  store.h = (tag, given = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") element.style.cssText = value;
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child != null && child !== false));
    return element;
  };
  // What a method takes, in words: passes, and how long that is here.
  store.takes = ({ passes: [forwards, backwards], takes }) => {
    const count = forwards + backwards;
    const long =
      store.pace == null
        ? ""
        : takes * store.pace < 1
          ? ", fast"
          : takes * store.pace < 15
            ? ", some seconds"
            : ", long";
    return `${count || "no"} ${count === 1 ? "pass" : "passes"}${long}`;
  };
  store.percent = (share) => {
    if (share > 0 && share < 0.01) return "<1 %";
    if (share > 0.99 && share < 1) return ">99 %";
    return `${Math.round(100 * share)} %`;
  };
  // The number that people read: a probability, or, of a regression, a number with its unit.
  store.told = ({ share, told }) => (share == null ? (told ?? "") : store.percent(share));
  store.figure = (value) => {
    if (!value || !Number.isFinite(value)) return "0";
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e5)
      return value
        .toExponential(1)
        .replace("e", " × 10^")
        .replace("^-", "⁻")
        .replace("^+", "")
        .replace(/10\^?([⁻\d]+)/, (_, n) => `10${[...n].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? c).join("")}`)
        .replace("-", "−");
    return value.toFixed(Math.max(0, 1 - Math.floor(Math.log10(size)))).replace("-", "−");
  };
  store.current = () => store.answer?.panes?.[0] ?? null;
  // Other methods that apply, those first that are well known and take little.
  store.others = (id) => {
    const order = (fit) => (store.method(fit.id).classic ? 0 : 1e6) + store.method(fit.id).takes;
    return (store.answer?.fits ?? [])
      .filter((fit) => !fit.why_not && fit.id !== id)
      .sort((a, b) => order(a) - order(b));
  };
  store.method = (id) => store.catalogue.methods.find((method) => method.id === id);
  return store;
})());
