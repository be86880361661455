"use strict";
(() => {
  const test = JSON.parse(document.getElementById("test").textContent);
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const page = document.getElementById("page");
  const status = document.getElementById("status");
  const storeName = `selfremaster-listening:${test.id}`;
  const asked = new URLSearchParams(location.search);
  const PLAY = "M14 9v26l22-13z";
  const PAUSE = "M12 9h7v26h-7zM25 9h7v26h-7z";
  const ENOUGH_SECONDS = 1;
  let remembers = true;
  const opened = new Map(); // sounds by file; a browser plays 40 to 75 at most, and forgets none by itself
  let sounds = [];
  let onKey = null;
  let leaving = new AbortController();

  // --- words and elements

  function say(path, values = {}) {
    const text = path.split(".").reduce((found, name) => found[name], texts);
    return typeof text === "string"
      ? text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
      : text;
  }

  function make(tag, settings = {}, ...children) {
    const [name, ...classes] = tag.split(".");
    const made = document.createElement(name || "div");
    if (classes.length) made.className = classes.join(" ");
    for (const [key, value] of Object.entries(settings)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value === true) made.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  function icon(path, size = 44) {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.setAttribute("viewBox", `0 0 ${size} ${size}`);
    drawn.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    drawn.append(line);
    return drawn;
  }

  const now = () => new Date().toISOString();
  const announce = (text) => { status.textContent = text; };

  function show(...children) {
    page.replaceChildren(...children);
    window.scrollTo(0, 0);
    const heading = page.querySelector("h1");
    if (heading) {
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
    }
    document.querySelector(".brand span").hidden = state.step === "welcome";
    showProgress();
  }

  // --- what is kept in the browser

  function newListener() {
    const bytes = crypto.getRandomValues(new Uint8Array(6));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** The listener that the address names, without what could mean something to a program. */
  function listenerAsked() {
    const given = (asked.get("listener") ?? "").replace(/[^\p{L}\p{N}_ .@-]/gu, "_");
    return Array.from(given.replace(/^[ .@-]+/, "")).slice(0, 80).join("");
  }

  function fresh() {
    const wanted = Number(asked.get("playlist"));
    const count = test.playlists.length;
    const there = Number.isInteger(wanted) && wanted >= 1 && wanted <= count;
    return {
      format: "selfremaster-listening-answers-1",
      test_id: test.id,
      test: test.test,
      listener: listenerAsked() || newListener(),
      playlist: there ? wanted : 1 + Math.floor(Math.random() * count),
      step: "welcome",
      started: null,
      finished: null,
      sound_check: { device: null, attempts: 0, passed: false },
      answers: [],
      current: null,
    };
  }

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(storeName));
      const sameListener = !listenerAsked() || kept?.listener === listenerAsked();
      const samePlaylist = !asked.get("playlist") || kept?.playlist === Number(asked.get("playlist"));
      if (kept && kept.test_id === test.id && sameListener && samePlaylist) return kept;
      localStorage.setItem(`${storeName}:probe`, "1");
      localStorage.removeItem(`${storeName}:probe`);
    } catch {
      remembers = false;
    }
    return fresh();
  }

  function save() {
    try {
      localStorage.setItem(storeName, JSON.stringify(state));
    } catch {
      remembers = false;
    }
  }

  let state = load();
  const playlist = () => test.playlists[state.playlist - 1];

  function showProgress() {
    const place = document.getElementById("progress");
    const done = state.answers.length;
    const total = playlist().length;
    place.hidden = state.step !== "trials";
    if (place.hidden) return;
    const label = say("trial.progress", { number: Math.min(done + 1, total), total });
    place.replaceChildren(
      make("progress", { max: total, value: done, "aria-label": label }),
      make("span", {}, label),
    );
  }

  // --- sounds

  /** The one player of a file. */
  function soundOf(file) {
    if (!opened.has(file)) {
      const sound = new Audio(`sounds/${file}`);
      sound.preload = "auto";
      opened.set(file, sound);
    }
    return opened.get(file);
  }

  /** A sound of the page that is drawn, which listens to it until the next page. */
  function use(file, hears) {
    const sound = soundOf(file);
    if (sound.ended || sound.currentTime > 0) sound.currentTime = 0;
    for (const [event, act] of Object.entries({ error: failed, ...hears })) {
      sound.addEventListener(event, act, { signal: leaving.signal });
    }
    sounds.push(sound);
    if (sound.error) sound.load();
    return sound;
  }

  /** Stop all, and let go of what neither this page nor the next one plays. */
  function release(wanted) {
    leaving.abort();
    leaving = new AbortController();
    sounds.forEach((sound) => sound.pause());
    sounds = [];
    for (const [file, sound] of opened) {
      if (wanted.has(file)) continue;
      sound.pause();
      sound.removeAttribute("src");
      sound.load();
      opened.delete(file);
    }
  }

  function failed() {
    if (page.querySelector(".failed")) return;
    const again = () => {
      page.querySelector(".failed").remove();
      for (const sound of sounds) if (sound.error) sound.load();
    };
    page.firstElementChild.prepend(make("div.warning.failed", { role: "alert" },
      make("p", {}, say("trial.failed")),
      make("button.chip", { type: "button", id: "retry", onclick: again }, say("trial.retry"))));
  }

  async function start(sound, again = true) {
    for (const other of sounds) if (other !== sound) other.pause();
    try {
      await sound.play();
    } catch (error) {
      if (error.name === "AbortError") return; // paused before it had begun
      if (!again) return failed();
      sound.load();
      start(sound, false);
    }
  }

  /** A big round button that plays one sound from its start to its end. */
  function player(name, file, kept, changed, short = "") {
    const button = make("button.round", { type: "button" }, icon(PLAY));
    const told = make("span.state");
    const box = make("div.player", {}, name ? make("span.name", {}, name) : null, button, told);
    const draw = () => {
      const playing = !sound.paused;
      const word = say(playing ? "trial.pause" : kept.heard ? "trial.again" : "trial.play");
      button.replaceChildren(icon(playing ? PAUSE : PLAY));
      button.setAttribute("aria-label", name ? `${word}: ${name}` : word);
      told.textContent = word;
      box.classList.toggle("heard", kept.heard > 0 && !playing);
    };
    const tick = () => {
      const length = sound.duration || 1;
      button.style.setProperty("--done", sound.ended ? 1 : sound.currentTime / length);
      if (!sound.paused) requestAnimationFrame(tick);
    };
    const sound = use(file, {
      play: () => {
        if (fromStart) { kept.plays += 1; fromStart = false; changed(); }
        draw();
        tick();
      },
      pause: draw,
      ended: () => { kept.heard += 1; draw(); tick(); changed(); },
    });
    // told when it is asked for: on a busy machine the event comes when the sound is under way
    let fromStart = false;
    const toggle = () => {
      if (!sound.paused) return sound.pause();
      fromStart = sound.ended || sound.currentTime < 0.01;
      return start(sound);
    };
    button.addEventListener("click", toggle);
    draw();
    return { box, toggle, short };
  }

  const counted = (kept = {}) => ({ plays: kept.plays ?? 0, heard: kept.heard ?? 0 });

  // --- welcome and sound check

  const minutes = () => {
    const heard = playlist().reduce((sum, trial) => {
      const files = [...trial.clips, ...(trial.reference ? [trial.reference] : [])];
      const again = test.test === "mushra" ? 3 : 1.3;
      return sum + again * files.reduce((part, file) => part + test.seconds[file], 0) + 5;
    }, 90);
    return Math.max(2, Math.ceil(heard / 60));
  };

  function fact(path, strong, soft) {
    return make("li", {}, icon(path, 32), make("strong", {}, String(strong)), make("span", {}, soft));
  }

  function welcome() {
    const agreed = make("input", { type: "checkbox", id: "agreed" });
    const begin = make("button.button", { type: "button", id: "begin", disabled: true }, say("welcome.start"));
    agreed.addEventListener("change", () => { begin.disabled = !agreed.checked; });
    begin.addEventListener("click", () => {
      state.started = now();
      state.step = "check";
      save();
      draw();
    });
    const intro = test.intro.length ? test.intro : [say("welcome.about")];
    show(make("section.card", {},
      make("h1", {}, test.title),
      ...intro.map((text) => make("p.lead", {}, text)),
      make("p.lead", {}, say(`welcome.how.${test.test}`)),
      make("ul.facts", {},
        fact("M6 8h20v14H12l-6 5z", playlist().length, say("welcome.facts.trials")),
        fact("M16 5a11 11 0 1 0 .1 0zM16 10v6l4 3", say("welcome.about_minutes", { minutes: minutes() }), say("welcome.facts.minutes")),
        fact("M6 19v-3a10 10 0 0 1 20 0v3M6 19h4v8H7a1 1 0 0 1-1-1zM26 19h-4v8h3a1 1 0 0 0 1-1z", say("check.devices.headphones"), say("welcome.facts.quiet")),
      ),
      make("div.stack", {}, make("p", {}, say("welcome.no_right")), make("p", {}, say("welcome.pause"))),
      make("div.note", {}, make("h2", {}, say("welcome.privacy_title")), make("p", {}, say("welcome.privacy"))),
      remembers ? null : make("p.warning", {}, say("storage")),
      make("label.tick", { for: "agreed" }, agreed, make("span", {}, say("welcome.consent"))),
      make("div.actions", {}, begin),
    ));
  }

  function choices(name, options, chosen, picked, kind = "") {
    return make(`div.choices${kind}`, {}, ...options.map(([value, text]) => make("label", {},
      make("input", { type: "radio", name, value, checked: value === chosen, onchange: () => picked(value) }),
      make("span", {}, text))));
  }

  function soundCheck() {
    const check = state.sound_check;
    const tones = test.sound_check.tones;
    const heard = { speech: false, tones: false };
    const told = make("p.warning", { role: "alert", hidden: true });
    const next = make("button.button", { type: "button", id: "go-on", disabled: true }, say("check.go_on"));
    const hint = make("p.warning", { hidden: check.device !== "speakers" }, say("check.speakers_hint"));
    const counting = make("li");
    let passed = false;
    const ready = () => { next.disabled = !(check.device && heard.speech && passed); };
    const pick = (device) => {
      check.device = device;
      hint.hidden = device !== "speakers";
      save();
      ready();
    };
    const small = (text, file, id, ended) => {
      const button = make("button.chip", { type: "button", id, "aria-pressed": "false" }, icon(PLAY), text);
      const draw = () => {
        button.setAttribute("aria-pressed", String(!sound.paused));
        button.replaceChildren(icon(sound.paused ? PLAY : PAUSE), text);
      };
      const sound = use(file, { play: draw, pause: draw, ended });
      button.addEventListener("click", () => (sound.paused ? start(sound) : sound.pause()));
      return button;
    };
    const countTones = () => {
      const round = tones[check.attempts % tones.length];
      const answers = make("fieldset.fade", { disabled: true },
        make("legend.hidden", {}, say("check.how_many")),
        make("span", {}, say("check.how_many")),
        choices("beeps", test.sound_check.choices.map((count) => [count, String(count)]), null, (count) => {
          check.attempts += 1;
          passed = count === round.count;
          check.passed = passed;
          told.hidden = false;
          told.className = passed ? "note" : "warning";
          if (!passed && check.attempts >= tones.length) {
            passed = true;
            told.textContent = say("check.gave_up");
          } else {
            told.textContent = say(passed ? "check.right" : "check.wrong");
          }
          save();
          if (passed) answers.disabled = true;
          else countTones();
          ready();
        }, ".numbers"));
      counting.replaceChildren(
        make("h2", {}, say("check.tones")),
        make("p", {}, say("check.tones_how")),
        small(say("check.play_tones"), round.file, "play-tones", () => {
          answers.disabled = passed;
          answers.classList.remove("fade");
        }),
        make("div", { style: "height:14px" }),
        answers,
        told);
    };
    next.addEventListener("click", () => { state.step = "trials"; save(); draw(); });
    show(make("section.card", {},
      make("h1", {}, say("check.title")),
      make("ol.steps", {},
        make("li", {},
          make("fieldset", {}, make("legend", {}, make("h2", {}, say("check.device"))),
            choices("device", Object.entries(say("check.devices")), check.device, pick)),
          hint),
        make("li", {},
          make("h2", {}, say("check.volume")),
          make("p", {}, say("check.volume_how")),
          small(say("check.play_speech"), test.sound_check.speech, "play-speech", () => { heard.speech = true; ready(); })),
        counting),
      make("div.actions", {}, next)));
    countTones();
  }

  // --- trials

  function beginTrial(number) {
    const trial = playlist()[number];
    if (!state.current || state.current.trial !== number) {
      const files = trial.clips.length;
      state.current = {
        trial: number, shown: now(), ready: null,
        clips: Array.from({ length: files }, () => counted()),
        reference: trial.reference ? counted() : null,
        ratings: Array.from({ length: files }, () => null),
        choice: null,
      };
      save();
    }
    return trial;
  }

  function answered() {
    const current = state.current;
    state.answers.push({
      trial: current.trial, shown: current.shown, ready: current.ready, answered: now(),
      clips: playlist()[current.trial].clips,
      plays: current.clips.map((clip) => clip.plays),
      heard: current.clips.map((clip) => clip.heard),
      reference_plays: current.reference ? current.reference.plays : null,
      ratings: test.test === "preference" ? null : current.ratings,
      choice: current.choice,
    });
    state.current = null;
    if (state.answers.length === playlist().length) {
      state.step = "end";
      state.finished = now();
    }
    save();
    draw();
  }

  function scaleOf(name, options, chosen, picked) {
    const box = make("div.scale", { style: `--count:${options.length}` });
    for (const [value, big, small] of options) {
      box.append(make("label", {},
        make("input", { type: "radio", name, value, checked: value === chosen, onchange: () => picked(value) }),
        big === null ? null : make("b", { "aria-hidden": "true" }, String(big)),
        make("span", {}, small)));
    }
    return box;
  }

  function keyHints(...pairs) {
    return make("p.keys", { "aria-hidden": "true" }, ...pairs.map(([keys, what]) =>
      make("span", {}, ...keys.flatMap((key) => [make("kbd", {}, key), " "]), what)));
  }

  function nextButton(last) {
    return make("button.button", { type: "button", id: "next", disabled: true }, say(last ? "trial.finish" : "trial.next"));
  }

  function question(words, number, trial) {
    return make("div.question", {},
      trial.practice ? make("p.badge", {}, say("trial.practice")) : null,
      make("h1", {}, words.question),
      make("p.lead", {}, trial.practice ? `${say("trial.practice_hint")} ${words.hint}` : words.hint));
  }

  /** One or two players, then one answer that opens when all was heard: mos, smos, preference. */
  function plainTrial(number) {
    const trial = beginTrial(number);
    const current = state.current;
    const words = test.test === "smos" ? { ...say(`smos.${test.aspect}`), scale: say("smos.scale") } : say(test.test);
    const last = number === playlist().length - 1;
    const next = nextButton(last);
    const both = test.test !== "mos";
    const told = make("p.say");
    const preferred = test.test === "preference";
    const heard = () => [...current.clips, ...(current.reference ? [current.reference] : [])].every((clip) => clip.heard > 0);
    const done = () => (preferred ? current.choice !== null : current.ratings[0] !== null);
    const options = preferred
      ? [["A", "A", words.first], ...(test.ties ? [["none", "–", words.none]] : []), ["B", "B", words.second]]
      : words.scale.map((label, place) => [place + 1, place + 1, label]).reverse();
    const pick = (value) => {
      if (preferred) current.choice = value;
      else current.ratings[0] = value;
      save();
      draw();
    };
    const answers = make("fieldset", { disabled: true },
      make("legend.hidden", {}, words.question),
      scaleOf("answer", options, preferred ? current.choice : current.ratings[0], pick));
    const draw = () => {
      answers.disabled = !heard();
      next.disabled = !(heard() && done());
      told.textContent = say(!heard() ? (both ? "trial.first_listen_both" : "trial.first_listen") : done() ? "trial.ready" : "trial.now_rate");
      told.classList.toggle("go", heard());
    };
    const changed = () => {
      if (heard() && current.ready === null) {
        current.ready = now();
        announce(say("trial.now_rate"));
      }
      save();
      draw();
    };
    const players = [];
    if (trial.reference) players.push(player(say("trial.reference"), trial.reference, current.reference, changed, "R"));
    trial.clips.forEach((file, place) => {
      const letter = preferred ? "AB"[place] : trial.reference ? "S" : "";
      const name = preferred ? letter : trial.reference ? say("trial.sample") : "";
      players.push(player(name, file, current.clips[place], changed, letter));
    });
    next.addEventListener("click", answered);
    const playKeys = trial.reference
      ? [[["R"], say("trial.reference")], [["S"], say("trial.sample")]]
      : [[both ? ["A", "B"] : ["Space"], say("trial.key_play")]];
    const answerKeys = options.map(([value, big], place) => (preferred ? String(place + 1) : String(big)));
    show(make("section.card", {},
      question(words, number, trial),
      make("div.players", {}, ...players.map((one) => one.box)),
      answers,
      make("div.actions", {}, told, next),
      keyHints(...playKeys, [preferred ? answerKeys : ["1–5"], say(preferred ? "trial.key_choose" : "trial.key_rate")], [["Enter"], say("trial.key_next")])));
    onKey = (key, free) => {
      const short = players.find((one) => one.short.toLowerCase() === key && one.short);
      if (short) return short.toggle(), true;
      if (key === "p" || (key === " " && free && !both)) return players[players.length - 1].toggle(), true;
      const place = answerKeys.indexOf(key);
      if (place >= 0 && !answers.disabled) {
        const radio = answers.querySelectorAll("input")[place];
        radio.checked = true;
        pick(options[place][0]);
        return true;
      }
      if (key === "enter" && free && !next.disabled) return answered(), true;
      return false;
    };
    draw();
  }

  /** All systems on a page, switched while they play, each with a slider: mushra. */
  function manyTrial(number) {
    const trial = beginTrial(number);
    const current = state.current;
    const words = say("mushra");
    const last = number === playlist().length - 1;
    const next = nextButton(last);
    const told = make("p.say");
    const loop = make("input", { type: "checkbox", id: "loop", checked: true });
    const track = make("div.track", {}, make("i"));
    const names = [say("trial.reference"), ...trial.clips.map((_, place) => say("trial.sound", { name: place + 1 }))];
    const files = [trial.reference, ...trial.clips];
    const kept = [current.reference, ...current.clips];
    const buttons = [];
    const listened = files.map((_, place) => (kept[place].heard > 0 ? ENOUGH_SECONDS : 0));
    let active = -1;
    const enough = (place) => Math.min(ENOUGH_SECONDS, 0.9 * test.seconds[files[place]]);
    const draw = () => {
      buttons.forEach((button, place) => {
        const playing = place === active && !sounds[place].paused;
        button.setAttribute("aria-pressed", String(playing));
        button.replaceChildren(icon(playing ? PAUSE : PLAY), names[place]);
      });
      const [sounding, sliders] = [files.length, trial.clips.length];
      const rated = current.ratings.filter((rating) => rating !== null).length;
      const heard = kept.filter((one) => one.heard > 0).length;
      const complete = rated === sliders && heard === sounding;
      if (complete && current.ready === null) current.ready = now();
      next.disabled = !complete;
      const best = Math.max(...current.ratings.map((rating) => rating ?? 0));
      told.textContent = complete ? say(best < 100 ? "mushra.one_best" : "trial.ready") : say("mushra.todo", { heard, rated, sounds: sounding, sliders });
      told.classList.toggle("go", complete && best === 100);
    };
    const stop = () => { if (active >= 0) sounds[active].pause(); };
    const play = (place) => {
      if (place === active && !sounds[place].paused) return stop();
      const from = active >= 0 ? sounds[active] : null;
      const at = from && !from.ended ? from.currentTime : 0;
      if (from) from.pause();
      active = place;
      if (Math.abs(sounds[place].currentTime - at) > 0.01) sounds[place].currentTime = at;
      kept[place].plays += 1;
      start(sounds[place]);
      save();
      tick();
    };
    let before = performance.now();
    const tick = () => {
      const sound = sounds[active];
      if (!sound || sound.paused) return;
      const moment = performance.now();
      listened[active] += Math.min(0.25, (moment - before) / 1000);
      before = moment;
      if (kept[active].heard === 0 && listened[active] >= enough(active)) { kept[active].heard = 1; save(); draw(); }
      track.style.setProperty("--done", sound.currentTime / (sound.duration || 1));
      requestAnimationFrame(tick);
    };
    files.forEach((file, place) => {
      const sound = use(file, {
        play: () => { before = performance.now(); draw(); tick(); },
        pause: draw,
        ended: () => {
          if (!kept[place].heard) { kept[place].heard = 1; save(); }
          draw();
          if (loop.checked && place === active) { sound.currentTime = 0; start(sound); }
        },
      });
      buttons.push(make("button.chip", { type: "button", "aria-pressed": "false", onclick: () => play(place) }));
    });
    const row = (place) => {
      const value = current.ratings[place];
      const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: value ?? 50, "aria-label": names[place + 1], "aria-valuetext": value === null ? words.not_yet : String(value) });
      const output = make("output", { "aria-hidden": "true" }, value === null ? "–" : String(value));
      const line = make("li.rows", {}, buttons[place + 1], make("div.slide", {}, slider), output);
      line.classList.toggle("unset", value === null);
      if (value !== null) slider.style.setProperty("--value", value);
      const set = () => {
        current.ratings[place] = Number(slider.value);
        output.textContent = slider.value;
        slider.style.setProperty("--value", slider.value);
        slider.setAttribute("aria-valuetext", slider.value);
        line.classList.remove("unset");
        save();
        draw();
      };
      slider.addEventListener("input", set);
      slider.addEventListener("click", set);
      slider.addEventListener("keydown", (event) => { if (event.key === "Enter") set(); });
      return line;
    };
    next.addEventListener("click", answered);
    show(make("section.card", {},
      question(words, number, trial),
      make("div.transport", {}, buttons[0], track,
        make("label.tick", { for: "loop" }, loop, make("span", {}, words.loop))),
      make("div.bands-row", { "aria-hidden": "true" }, make("span"), make("div.bands", {}, ...words.scale.map((name) => make("span", {}, name))), make("span")),
      make("ul", { style: "list-style:none" }, ...trial.clips.map((_, place) => row(place))),
      make("div.actions", {}, told, next),
      keyHints([["R"], say("trial.reference")], [[`1–${trial.clips.length}`], say("trial.key_sound")], [["Space"], say("trial.pause")])));
    onKey = (key, free) => {
      if (key === "r") return play(0), true;
      const place = Number(key);
      if (key !== " " && Number.isInteger(place) && place >= 1 && place <= trial.clips.length) return play(place), true;
      if (key === " " && free) return play(Math.max(active, 0)), true;
      return false;
    };
    draw();
  }

  // --- the end

  function results() {
    const { step, current, ...kept } = state;
    return JSON.stringify({
      ...kept,
      browser: {
        agent: navigator.userAgent, language: navigator.language,
        screen: [screen.width, screen.height], touch: navigator.maxTouchPoints > 0,
      },
    }, null, 1);
  }

  function end() {
    const text = results();
    const file = `listening-${test.id}-p${String(state.playlist).padStart(2, "0")}-${state.listener.replace(/[^\w-]/g, "_")}.json`;
    const told = make("p.say", { role: "status" });
    const area = make("textarea", { readonly: true, id: "answers", "aria-label": say("end.text"), spellcheck: "false" });
    area.value = text;
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: file, hidden: true });
    const saveButton = make("button.button", { type: "button", id: "save", onclick: () => { link.click(); told.textContent = say("end.saved", { file }); told.classList.add("go"); } }, say("end.save"));
    const copy = make("button.button.plain", { type: "button", id: "copy", onclick: async () => {
      area.select();
      try { await navigator.clipboard.writeText(text); } catch { document.execCommand("copy"); }
      told.textContent = say("end.copied");
      told.classList.add("go");
    } }, say("end.copy_button"));
    const sure = make("div", { hidden: true },
      make("p.warning", {}, say("end.anew_sure")),
      make("div.actions", {},
        make("button.button.plain", { type: "button", onclick: () => { sure.hidden = true; } }, say("end.anew_no")),
        make("button.button", { type: "button", id: "anew-yes", onclick: () => { localStorage.removeItem(storeName); state = fresh(); draw(); } }, say("end.anew_yes"))));
    show(make("section.card", {},
      make("div.done", {}, icon("M9 20l7 7 14-15", 38)),
      make("h1", {}, say("end.title")),
      make("p.lead", {}, say("end.all")),
      make("p.lead", {}, test.contact ? say("end.send", { contact: test.contact }) : say("end.hand_over")),
      make("div.actions", {}, saveButton, told, link),
      make("div", { style: "margin-top:28px" }, make("h2", {}, say("end.copy")), area, make("div.actions", { style: "margin-top:10px" }, copy)),
    ), make("details.card", {}, make("summary", { id: "anew" }, say("end.anew")), sure));
    page.querySelector("details").addEventListener("toggle", (event) => { sure.hidden = !event.target.open; });
  }

  // --- all together

  function draw() {
    const filesOf = (trial) => (trial ? [...trial.clips, ...(trial.reference ? [trial.reference] : [])] : []);
    const next = state.step === "trials" ? state.answers.length + 1 : 0;
    const following = state.step === "end" ? [] : filesOf(playlist()[next]);
    release(new Set([...(state.step === "trials" ? filesOf(playlist()[next - 1]) : []), ...following]));
    onKey = null;
    if (state.step === "welcome") welcome();
    else if (state.step === "check") soundCheck();
    else if (state.step === "end") end();
    else (test.test === "mushra" ? manyTrial : plainTrial)(state.answers.length);
    if (state.step !== "welcome") following.forEach(soundOf);
  }

  document.addEventListener("keydown", (event) => {
    if (!onKey || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const target = event.target;
    const free = !target.closest("button, summary, textarea, a, input[type=checkbox], input[type=range]");
    if (onKey(event.key.toLowerCase(), free)) event.preventDefault();
  });

  draw();
})();
