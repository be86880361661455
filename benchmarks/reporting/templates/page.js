"use strict";
// Players of a report: all sounds of a file run on one clock, and which of them is heard is a matter
// of gains, so that changing over leaves no gap.
(() => {
  const FADE = 0.01; // seconds: long enough that changing over does not click
  const AHEAD = 0.03; // seconds until what was asked for is heard
  const SHORTEST = 0.05; // seconds of a loop
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const kept = JSON.parse(document.getElementById("sounds").textContent);
  const decoded = new Map();
  let context = null;
  let latest = null; // the player that keys are for while nothing has the focus

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const coin = () => crypto.getRandomValues(new Uint8Array(1))[0] & 1;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function sound(name) {
    if (!decoded.has(name)) decoded.set(name, context.decodeAudioData(bytes(kept[name])));
    return decoded.get(name);
  }

  // the chance of so many right answers or more by guessing
  function guessing(right, all) {
    let sum = 0;
    let ways = 1;
    for (let count = 0; count <= all; count++) {
      if (count >= right) sum += ways;
      ways = (ways * (all - count)) / (count + 1);
    }
    return sum / 2 ** all;
  }

  class Player {
    constructor(root) {
      this.root = root;
      this.seconds = Number(root.dataset.seconds);
      this.tracks = [...root.querySelectorAll(".track")];
      this.heard = 0;
      this.offset = 0;
      this.region = [0, this.seconds];
      this.looping = false;
      this.running = null;
      this.asked = 0; // counts plays and stops: a play that waits for sounds may be out of date
      this.blind = null;
      this.slider = root.querySelector("[data-do=seek]");
      this.clock = root.querySelector(".clock");
      root.addEventListener("click", (event) => this.click(event));
      root.addEventListener("keydown", (event) => this.key(event));
      root.addEventListener("focusin", () => { latest = this; });
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
      for (const picture of root.querySelectorAll(".picture")) this.watch(picture);
      this.say();
    }

    get position() {
      if (!this.running) return this.offset;
      const gone = Math.max(0, context.currentTime - this.running.start);
      const [low, high] = this.region;
      const at = this.offset + gone;
      if (!this.looping || at < high || this.offset >= high) return Math.min(at, this.seconds);
      return low + ((at - high) % (high - low));
    }

    async play() {
      const asked = ++this.asked;
      for (const other of players) if (other !== this && other.running) other.pause();
      latest = this;
      try {
        context ??= new AudioContext();
        const waiting = context.resume();
        const buffers = await Promise.all(this.tracks.map((track) => sound(track.dataset.sound)));
        await waiting;
        if (asked === this.asked) this.start(buffers);
      } catch (error) {
        this.complain(`This browser cannot play the sound (${error.message}).`);
      }
    }

    start(buffers) {
      if (this.offset >= this.seconds - 0.005) this.offset = 0;
      const at = context.currentTime + AHEAD;
      const voices = buffers.map((buffer, index) => {
        const gain = context.createGain();
        const source = context.createBufferSource();
        source.buffer = buffer;
        source.connect(gain).connect(context.destination);
        this.bound(source);
        gain.gain.setValueAtTime(0, context.currentTime);
        gain.gain.setValueAtTime(0, at);
        gain.gain.linearRampToValueAtTime(this.level(index), at + FADE);
        source.start(at, this.offset);
        return { source, gain };
      });
      const running = { start: at, voices };
      voices[0].source.onended = () => {
        if (this.running !== running) return;
        this.running = null;
        this.offset = 0;
        this.say();
      };
      this.running = running;
      this.say();
      this.tick();
    }

    level(index) {
      return index === this.heard ? Number(this.tracks[index].dataset.gain) : 0;
    }

    bound(source) {
      source.loop = this.looping && this.offset < this.region[1];
      [source.loopStart, source.loopEnd] = this.region;
    }

    halt() {
      const { voices } = this.running;
      const now = context.currentTime;
      for (const { source, gain } of voices) {
        this.ramp(gain.gain, 0);
        source.onended = null;
        source.stop(now + FADE);
      }
      this.running = null;
    }

    ramp(gain, value) {
      const now = context.currentTime;
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(value, now + FADE);
    }

    pause() {
      this.asked++;
      if (this.running) {
        this.offset = this.position;
        this.halt();
      }
      this.say();
    }

    toggle() {
      if (this.running) this.pause();
      else this.play();
    }

    seek(seconds) {
      const playing = Boolean(this.running);
      if (playing) this.halt();
      this.offset = clamp(seconds, 0, this.seconds);
      if (playing) this.play();
      this.say();
    }

    choose(index) {
      if (index < 0 || index >= this.tracks.length) return;
      this.heard = index;
      if (this.running) {
        this.running.voices.forEach(({ gain }, place) => this.ramp(gain.gain, this.level(place)));
      }
      this.say();
    }

    loop(on, region = this.region) {
      const at = this.position;
      const playing = Boolean(this.running);
      if (playing) this.halt();
      this.looping = on;
      this.region = region[1] - region[0] < SHORTEST ? [0, this.seconds] : region;
      this.offset = on && (at < this.region[0] || at >= this.region[1]) ? this.region[0] : at;
      if (playing) this.play();
      this.say();
    }

    // the mouse or a finger on a spectrogram: a click goes there, dragging chooses what is repeated
    watch(picture) {
      const index = this.tracks.indexOf(picture.closest(".track"));
      const where = (event) => {
        const box = picture.getBoundingClientRect();
        return clamp((event.clientX - box.left) / box.width, 0, 1) * this.seconds;
      };
      let from = null;
      picture.addEventListener("pointerdown", (event) => {
        if (event.button === 0) from = where(event);
      });
      picture.addEventListener("pointerup", (event) => {
        if (from === null) return;
        const to = where(event);
        const wide = Math.abs(to - from) > Math.max(SHORTEST, this.seconds * 0.02);
        this.choose(index);
        if (wide) this.loop(true, [Math.min(from, to), Math.max(from, to)]);
        else this.seek(to);
        from = null;
        latest = this;
      });
      picture.addEventListener("pointercancel", () => { from = null; });
    }

    click(event) {
      const button = event.target.closest("button");
      if (!button) return;
      const act = button.dataset.do;
      const letter = button.dataset.letter;
      if (act === "play") this.toggle();
      else if (act === "loop") this.loop(!this.looping);
      else if (act === "track") this.choose(Number(button.closest(".track").dataset.track));
      else if (act === "blind") this.open();
      else if (act === "begin") this.begin();
      else if (act === "hear") this.hear(letter);
      else if (act === "answer") this.answer(letter);
      else if (act === "reveal") this.reveal();
    }

    key(event) {
      const target = event.target;
      if (event.ctrlKey || event.altKey || event.metaKey || target.closest("select")) return;
      const slider = target === this.slider;
      const button = target.closest("button");
      const current = button && (button.dataset.do === "play" || button.getAttribute("aria-pressed") === "true" && button.dataset.do === "track");
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === " " && (!button || current)) this.toggle();
      else if (step && slider) return;
      else if (step && event.shiftKey) this.seek(this.position + step);
      else if (step && this.blind) this.turn(step);
      else if (step) this.choose((this.heard + step + this.tracks.length) % this.tracks.length);
      else if (/^[1-9]$/.test(event.key)) this.digit(Number(event.key));
      else if (event.key === "[") this.loop(true, [this.position, this.region[1]]);
      else if (event.key === "]") this.loop(true, [this.region[0], this.position]);
      else if (event.key.toLowerCase() === "l") this.loop(!this.looping);
      else return;
      event.preventDefault();
    }

    digit(number) {
      if (!this.blind) this.choose(number - 1);
      else if (number <= 3) this.hear("ABX"[number - 1]);
    }

    // blind test
    part(name) {
      return this.root.querySelector(`[data-do=${name}]`);
    }

    open() {
      const panel = this.root.querySelector(".blind");
      panel.hidden = !panel.hidden;
      this.part("blind").setAttribute("aria-expanded", String(!panel.hidden));
      if (panel.hidden) this.close();
    }

    close() {
      this.blind = null;
      delete this.root.dataset.mode;
      this.root.querySelector(".setup").hidden = false;
      this.root.querySelector(".trial").hidden = true;
      this.say();
    }

    begin() {
      const pair = [Number(this.part("first").value), Number(this.part("second").value)];
      if (pair[0] === pair[1]) return this.complain("Choose two different sounds.");
      this.complain("");
      if (coin()) pair.reverse();
      this.blind = { A: pair[0], B: pair[1], X: pair[coin()], letter: "A", right: 0, all: 0, shown: false };
      this.root.dataset.mode = "blind";
      this.root.querySelector(".setup").hidden = true;
      this.root.querySelector(".trial").hidden = false;
      this.part("reveal").textContent = "Reveal";
      this.tell("Hear A, B and X as often as you like, then say which X is.");
      this.hear("A");
      this.root.querySelector("[data-do=hear]").focus();
    }

    hear(letter) {
      this.blind.letter = letter;
      this.choose(this.blind[letter]);
    }

    turn(step) {
      this.hear("ABX"[("ABX".indexOf(this.blind.letter) + step + 3) % 3]);
    }

    answer(letter) {
      const blind = this.blind;
      if (blind.shown) return;
      const right = blind[letter] === blind.X;
      blind.all++;
      if (right) blind.right++;
      this.tell(`${right ? "Right" : "Wrong"}: X was ${blind.A === blind.X ? "A" : "B"}. ${this.score()} X is drawn anew.`);
      blind.X = coin() ? blind.A : blind.B;
      this.hear("X");
    }

    score() {
      const { right, all } = this.blind;
      if (!all) return "No answer yet.";
      const p = guessing(right, all);
      return `${right} of ${all} right (p ${p < 0.001 ? "< 0.001" : `= ${p.toFixed(3)}`} by guessing alone).`;
    }

    reveal() {
      const blind = this.blind;
      if (blind.shown) return this.close();
      blind.shown = true;
      const name = (index) => this.tracks[index].dataset.label;
      this.tell(`A was ${name(blind.A)}, B was ${name(blind.B)}. ${this.score()}`);
      this.part("reveal").textContent = "Close";
      this.say();
    }

    tell(text) {
      this.root.querySelector(".trial .score").textContent = text;
    }

    complain(text) {
      const place = this.root.querySelector(".trouble");
      place.textContent = text;
      place.hidden = !text;
    }

    // what is seen
    say() {
      const root = this.root;
      root.dataset.state = this.running ? "playing" : "stopped";
      root.dataset.heard = this.blind && !this.blind.shown ? this.blind.letter : this.tracks[this.heard].dataset.label;
      root.querySelector(".play .word").textContent = this.running ? "Pause" : "Play";
      this.tracks.forEach((track, index) => {
        track.querySelector(".name").setAttribute("aria-pressed", String(index === this.heard));
      });
      for (const button of root.querySelectorAll("[data-do=hear]")) {
        button.setAttribute("aria-pressed", String(this.blind?.letter === button.dataset.letter));
      }
      for (const button of root.querySelectorAll("[data-do=answer]")) button.disabled = Boolean(this.blind?.shown);
      this.part("loop").setAttribute("aria-pressed", String(this.looping));
      root.style.setProperty("--from", (100 * this.region[0]) / this.seconds);
      root.style.setProperty("--to", (100 * this.region[1]) / this.seconds);
      for (const region of root.querySelectorAll(".region")) region.hidden = !this.looping;
      this.show();
    }

    show() {
      const at = this.position;
      this.root.dataset.position = at.toFixed(3);
      this.root.style.setProperty("--at", (100 * at) / this.seconds);
      this.slider.value = at;
      this.clock.textContent = `${at.toFixed(1)} / ${this.seconds.toFixed(1)} s`;
    }

    tick() {
      if (!this.running) return;
      this.show();
      if (calm.matches) setTimeout(() => this.tick(), 250);
      else requestAnimationFrame(() => this.tick());
    }
  }

  const players = [...document.querySelectorAll(".player")].map((root) => new Player(root));
  document.addEventListener("keydown", (event) => {
    const idle = event.target === document.body || event.target === document.documentElement;
    if (idle && latest && (event.key !== " " || latest.running)) latest.key(event);
  });
  // a link to a player within something that is folded
  const unfold = () => {
    const wanted = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = wanted; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (wanted) wanted.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();
})();
