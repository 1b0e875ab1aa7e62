// The image viewer: layers, filters, and a slider between two series. It only reads the JSON that the page carries.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("viewer-data").textContent);
  const grid = byId("viewer-grid");
  const dialog = byId("viewer-dialog");
  const comparing = data.series.length > 1;
  const numberNames = [...new Set(data.images.flatMap((p) => p.series.flatMap((s) => Object.keys(s.numbers))))];
  const state = {
    shown: data.layers.map((layer) => layer.shown),
    opacity: 60,
    split: 50,
    left: 0,
    right: data.series.length - 1,
    filter: { text: "", split: "", class: "", min: {}, max: {} },
    sort: "",
    visible: [],
    open: -1,
  };

  // Text always goes through textContent, never through markup: names come from files.
  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  function field(words, input) {
    return make("label", {}, words, input);
  }

  function group(name, ...children) {
    return make("fieldset", { className: "group" }, make("legend", { textContent: name }), ...children);
  }

  function choice(label, options, value, onChange) {
    const select = make("select", { ariaLabel: label });
    for (const [key, words] of options) select.append(make("option", { value: key, textContent: words }));
    select.value = value;
    select.addEventListener("change", () => onChange(select.value));
    return select;
  }

  // Controls occur in the toolbar and in the dialog; sync() keeps all of them equal to the state.
  function slider(kind, label, onInput) {
    const input = make("input", { type: "range", min: 0, max: 100, step: 1, ariaLabel: label });
    input.dataset.control = kind;
    input.addEventListener("input", () => onInput(Number(input.value)));
    return input;
  }

  function splitSlider() {
    return slider("split", "Slider between the two sides", (value) => { state.split = value; sync(); });
  }

  function lookControls() {
    const layers = data.layers.map((layer, i) => {
      const box = make("input", { type: "checkbox" });
      box.dataset.layerSwitch = i;
      box.addEventListener("change", () => { state.shown[i] = box.checked; sync(); });
      const key = make("kbd", { textContent: i + 1, title: `Key ${i + 1}`, ariaHidden: "true" });
      return make("label", { className: "chip" }, box, layer.name, key);
    });
    const controls = [group("Layers", ...layers)];
    if (data.layers.some((layer) => layer.veil)) {
      controls.push(field("Opacity", slider("opacity", "Opacity", (value) => { state.opacity = value; sync(); })));
    }
    return controls;
  }

  function buildToolbar() {
    const toolbar = byId("viewer-toolbar");
    toolbar.append(...lookControls());
    if (comparing) {
      const options = data.series.map((name, i) => [i, name]);
      const choose = (side) => (value) => { state[side] = Number(value); refresh(); };
      toolbar.append(group("Compare",
        choice("Left side", options, state.left, choose("left")),
        splitSlider(),
        choice("Right side", options, state.right, choose("right"))));
    }
    toolbar.append(field("Order", choice("Order", orders(), "", (v) => { state.sort = v; refresh(); })));
    const filter = state.filter;
    const filters = [];
    const search = make("input", { type: "search", placeholder: "Name", ariaLabel: "Name contains" });
    search.addEventListener("input", () => { filter.text = search.value.toLowerCase(); refresh(); });
    filters.push(search);
    const splits = [...new Set(data.images.map((p) => p.split))].sort();
    if (splits.length > 1) filters.push(choice("Split", [["", "All splits"], ...splits.map((s) => [s, s])], "", (v) => { filter.split = v; refresh(); }));
    filters.push(choice("Class", [["", "All classes"], ...data.classes.map((c, i) => [i, c.name])], "", (v) => { filter.class = v; refresh(); }));
    for (const name of numberNames) {
      const bound = (side, words) => {
        const input = make("input", { type: "number", min: 0, step: "any", placeholder: words, ariaLabel: `${name}, ${words}` });
        input.addEventListener("input", () => { filter[side][name] = input.value === "" ? null : Number(input.value); refresh(); });
        return input;
      };
      filters.push(make("span", { className: "group" }, name, bound("min", "from"), bound("max", "to")));
    }
    toolbar.append(group("Show", ...filters));
    toolbar.append(make("span", { className: "count", id: "viewer-count", role: "status" }));
  }

  // "-marks" is an order from the highest number down, "+marks" up, ">mIoU" by how far the right side is ahead.
  function orders() {
    const options = [["", "As listed"]];
    for (const name of numberNames) {
      const isScore = data.scores.includes(name);
      options.push([`-${name}`, `${name}, ${isScore ? "highest" : "most"} first`]);
      options.push([`+${name}`, `${name}, ${isScore ? "lowest" : "fewest"} first`]);
      if (isScore && comparing) {
        options.push([`>${name}`, `${name}, right side ahead first`], [`<${name}`, `${name}, left side ahead first`]);
      }
    }
    return options;
  }

  // Filters and order look at the left side, which is the whole image where nothing is compared.
  function matches(item) {
    const { text, split, class: classId, min, max } = state.filter;
    const series = item.series[state.left];
    if (!item.name.toLowerCase().includes(text) || (split && item.split !== split)) return false;
    if (classId !== "" && !series.classes.includes(Number(classId))) return false;
    return numberNames.every((name) => {
      const value = series.numbers[name];
      if (min[name] == null && max[name] == null) return true;
      return value != null && value >= (min[name] ?? -Infinity) && value <= (max[name] ?? Infinity);
    });
  }

  function ordered(items) {
    if (!state.sort) return items;
    const [kind, name] = [state.sort[0], state.sort.slice(1)];
    const sign = "->".includes(kind) ? -1 : 1;
    const value = (item) => {
      const [left, right] = [state.left, state.right].map((side) => item.series[side].numbers[name]);
      if ("-+".includes(kind)) return left;
      return left == null || right == null ? null : right - left;
    };
    return [...items].sort((a, b) => (value(a) == null) - (value(b) == null) || sign * (value(a) - value(b)));
  }

  function stack(item, side, className) {
    const node = make("div", { className: `stack ${className}` });
    data.layers.forEach((layer, i) => {
      const source = item.shared[layer.name] ?? item.series[side].layers[layer.name];
      if (!source) return;
      const image = make("img", { src: source, alt: `${item.name}: ${layer.name}`, decoding: "async", hidden: !state.shown[i] });
      if (item.width < 200) image.className = "small";
      image.dataset.layer = i;
      if (layer.veil) image.dataset.veil = "";
      node.append(image);
    });
    return node;
  }

  function stacks(item) {
    const node = make("div", { className: "stacks" });
    node.style.aspectRatio = `${item.width} / ${item.height}`;
    if (item.note) node.append(make("div", { className: "missing", textContent: item.note }));
    node.append(stack(item, state.left, "left"));
    if (comparing) {
      const sign = (side) => make("span", { className: `side ${side}`, textContent: data.series[state[side]] });
      node.append(stack(item, state.right, "right"), sign("left"), sign("right"), make("div", { className: "handle" }));
    }
    return node;
  }

  function sides(item) {
    return (comparing ? [state.left, state.right] : [0]).map((i) => item.series[i]);
  }

  // "train · 20 | 100 marks": the left side's number, then the right side's.
  function facts(item) {
    const shown = sides(item);
    const tell = (name) => {
      const digits = { minimumFractionDigits: data.scores.includes(name) ? 1 : 0 };
      const values = shown.map((series) => series.numbers[name]?.toLocaleString("en", digits) ?? "no");
      return `${values.join(" | ")} ${name}`;
    };
    return [item.split, ...numberNames.filter((n) => shown.some((s) => n in s.numbers)).map(tell)].join(" · ");
  }

  function legend(item) {
    const present = new Set(sides(item).flatMap((series) => series.classes));
    return data.classes.filter((_, i) => present.has(i)).map(({ name, color }) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = `rgb(${color.join(" ")})`;
      return make("span", {}, swatch, name);
    });
  }

  // A card gets its items when it comes near the window.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      entry.target.replaceChildren(stacks(entry.target.image));
      sync(entry.target);
    }
  }, { rootMargin: "600px" });

  function card(item, position) {
    const empty = make("div", { className: "stacks" });
    empty.style.aspectRatio = `${item.width} / ${item.height}`;
    const button = make("button", { type: "button", className: "open", ariaLabel: `Enlarge ${item.name}` }, empty);
    button.image = item;
    button.addEventListener("click", () => show(position));
    near.observe(button);
    const caption = make("figcaption", {}, item.name, make("br"), make("span", { textContent: facts(item) }));
    return make("figure", { className: "card" }, button, caption);
  }

  function refresh() {
    near.disconnect();
    state.visible = ordered(data.images.filter(matches));
    grid.replaceChildren(...state.visible.map(card));
    byId("viewer-count").textContent = `${state.visible.length} of ${data.images.length} image${data.images.length === 1 ? "" : "s"}`;
    sync();
  }

  function sync(root = document) {
    document.documentElement.style.setProperty("--split", `${state.split}%`);
    for (const image of root.querySelectorAll("img[data-layer]")) {
      image.hidden = !state.shown[image.dataset.layer];
      if ("veil" in image.dataset) image.style.opacity = state.opacity / 100;
    }
    for (const box of document.querySelectorAll("[data-layer-switch]")) box.checked = state.shown[box.dataset.layerSwitch];
    for (const input of document.querySelectorAll("[data-control]")) input.value = state[input.dataset.control];
  }

  function show(position) {
    state.open = (position + state.visible.length) % state.visible.length;
    const item = state.visible[state.open];
    byId("viewer-name").textContent = item.name;
    byId("viewer-facts").textContent = facts(item);
    byId("viewer-legend").replaceChildren(...legend(item));
    const large = stacks(item);
    // As large as the window allows, leaving room for the controls.
    large.style.width = `min(100%, calc((98vh - 12rem) * ${item.width / item.height}))`;
    byId("viewer-large").replaceChildren(large);
    byId("viewer-large").className = comparing ? "comparing" : "";
    if (comparing) {
      const drag = (event) => {
        if (event.type === "pointermove" && !event.buttons) return;
        const box = large.getBoundingClientRect();
        state.split = Math.max(0, Math.min(100, Math.round((100 * (event.clientX - box.left)) / box.width)));
        sync();
      };
      large.addEventListener("pointerdown", (event) => { event.preventDefault(); large.setPointerCapture(event.pointerId); drag(event); });
      large.addEventListener("pointermove", drag);
    }
    sync();
    if (!dialog.open) dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select")) return;
    const layer = Number(event.key) - 1;
    if (layer in state.shown) { state.shown[layer] = !state.shown[layer]; sync(); }
    if (!dialog.open) return;
    if (event.key === "ArrowLeft") show(state.open - 1);
    if (event.key === "ArrowRight") show(state.open + 1);
  });
  byId("viewer-previous").addEventListener("click", () => show(state.open - 1));
  byId("viewer-next").addEventListener("click", () => show(state.open + 1));
  byId("viewer-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { grid.querySelectorAll("button.open")[state.open]?.focus(); });

  buildToolbar();
  byId("viewer-dialog-controls").append(...lookControls(), ...(comparing ? [field("Slider", splitSlider())] : []));
  refresh();
})();
