// What does the browser draw by itself? Blocks of text, tables, bars and a run's state, and charts that keep their zoom.
// Whatever comes from data or a user reaches the page through textContent alone, so that none of it can become markup.
window.volta = (() => {
  const make = (tag, className = "", text = null) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== null) node.textContent = text;
    return node;
  };
  const put = (parent, ...children) => (parent.append(...children), parent);
  const attributes = (node, values) => (Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value)), node);
  // With a tab index, so that the keyboard can scroll it
  const scrollable = (node, label) => attributes(node, { tabindex: 0, role: "region", "aria-label": label });
  // In the reader's language: the part "script" of reports/words
  const say = (key, values = {}) => window.voltaWords[`script.${key}`].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  document.documentElement.lang = say("locale");

  // What was clicked last in a block: each view tells of it by its event "input", whose script reads it here.

  let pickedLast = null;
  const picked = () => {
    const value = pickedLast;
    pickedLast = null;
    return value;
  };
  const pickButton = (text, value) => {
    const button = make("button", "volta-pick", text);
    if (value?.help) button.title = value.help;
    button.addEventListener("click", () => button.dispatchEvent(new CustomEvent("volta-pick", { detail: value, bubbles: true })));
    return button;
  };

  // Blocks: the kinds that tabs/shared.py makes

  const term = ({ name, help }) => {
    const word = make("span", help ? "volta-term" : "", name);
    if (help) Object.assign(word, { title: help, tabIndex: 0 });
    return word;
  };

  const table = ({ label, columns, rows, shares, picks, current }) => {
    const head = make("tr"), body = make("tbody");
    const className = (column) => (column.kind === "number" ? "volta-number" : column.kind === "text" ? "volta-long" : "");
    columns.forEach((column) => {
      const cell = put(head, make("th", className(column))).lastChild;
      put(cell, term(column));
      cell.scope = "col";
    });
    rows.forEach((row, r) => {
      const line = put(body, make("tr", r === current ? "volta-ticked" : "")).lastChild;
      row.forEach((text, i) => {
        const value = picks?.[r]?.[i] ?? null;
        const cell = put(line, make("td", className(columns[i]), value === null ? text : null)).lastChild;
        if (value !== null) put(cell, pickButton(text, value));
      });
      line.querySelector(".volta-pick")?.addEventListener("click", () => {
        [...body.children].forEach((other) => other.classList.toggle("volta-ticked", other === line && current !== undefined));
      });
    });
    // Of a confusion matrix: how dark each cell is, the first column aside.
    shares?.forEach((row, i) =>
      row.forEach((share, k) => {
        const cell = body.children[i].children[k + 1];
        cell.style.setProperty("--share", share);
        cell.classList.add("volta-cell", i === k ? "volta-right" : "volta-wrong");
      }),
    );
    const scroll = scrollable(put(make("div", "volta-scroll"), put(make("table"), put(make("thead"), head), body)), label);
    return put(make("section"), make("h3", "", label), scroll);
  };

  const bars = ({ label, items }) => {
    const list = attributes(make("ul", "volta-bars"), { "aria-label": label });
    items.forEach(({ name, share, number }) => {
      const fill = make("span");
      fill.style.width = `${100 * share}%`;
      put(list, put(make("li"), make("b", "", name), put(make("i"), fill), make("span", "volta-number", number)));
    });
    return list;
  };

  const run = ({ name, state, state_words, facts, share }) => {
    const line = put(make("p", "volta-run"), make("strong", "", name), make("span", `volta-state volta-${state}`, state_words));
    facts.forEach((fact) => put(line, make("span", "", fact)));
    const track = put(make("div", "volta-progress"), make("span"));
    track.firstChild.style.width = `${100 * share}%`;
    attributes(track, { role: "progressbar", "aria-label": say("progress", { run: name }), "aria-valuenow": Math.round(100 * share) });
    return put(make("section"), line, track);
  };

  let withNumbers = false; // beside the words; stays as the reader left it
  const words = ({ label, items, rest }) => {
    const line = attributes(make("div", "volta-words"), { role: "group", "aria-label": label });
    items.forEach(({ before, text, score, share }) => {
      const word = make("span", share < 0 ? "volta-against" : "volta-for", text);
      word.style.setProperty("--share", Math.abs(share));
      word.dataset.sign = Math.abs(share) < 0.1 ? "" : share < 0 ? "\u2212" : "+"; // never told by colour alone
      word.dataset.score = word.title = score;
      put(line, before, word);
    });
    if (rest.trim()) put(line, make("span", "volta-unread", rest));
    const box = make("input");
    Object.assign(box, { type: "checkbox", checked: withNumbers });
    const show = () => line.classList.toggle("volta-scored", (withNumbers = box.checked));
    box.addEventListener("change", show);
    show();
    return put(make("section"), line, put(make("label", "volta-check"), box, say("numbers_of_words")));
  };

  const tries = ({ label, items }) => {
    const list = attributes(make("ul", "volta-tries"), { "aria-label": label });
    items.forEach(({ text, verdict }) => {
      const button = make("button", "", text);
      button.title = say("come_back");
      button.addEventListener("click", () => {
        const box = document.querySelector("#predict-text textarea");
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        box.focus();
      });
      put(list, put(make("li"), button, make("span", "volta-number", verdict)));
    });
    return put(make("section"), make("h3", "", label), list);
  };

  // Of this page, but for these; what else the address says stays.
  const addressOf = (values) => {
    const url = new URL(location.href);
    Object.entries(values).forEach(([name, value]) => url.searchParams.set(name, value));
    url.hash = values.tab === "train" ? "run-status" : ""; // below the form, which fills a screen
    return url.href;
  };
  const link = ({ text, kind, ...values }) => {
    const anchor = make("a", "", text);
    anchor.href = addressOf(values);
    return put(make("p"), anchor);
  };

  const log = ({ label, text }) => {
    return scrollable(make("pre", "volta-log", text), label ?? say("log"));
  };
  const text = ({ text, tone, field, help }) => {
    const paragraph = put(make("p", `volta-${tone}`), term({ name: text, help }));
    if (tone === "problem") paragraph.setAttribute("role", "alert");
    const wrong = field && document.getElementById(field); // said at the field of the form, too
    if (wrong) {
      wrong.classList.add("volta-invalid");
      wrong.dataset.problem = text;
    }
    return paragraph;
  };

  const folded = ({ summary, text }) => put(make("details", "volta-folded"), make("summary", "", summary), make("p", "volta-note", text));
  const heading = ({ text }) => make("h3", "", text);
  const pager = ({ words, before, after }) => {
    const line = put(make("p", "volta-pager"), make("span", "", words));
    [[before, "\u2190", say("page_before")], [after, "\u2192", say("page_after")]].forEach(([value, sign, name]) => {
      const button = pickButton(sign, value);
      button.disabled = value === null;
      put(line, attributes(button, { title: name, "aria-label": name }));
    });
    return line;
  };
  // A claim, whether it held, and behind a click the experiment that would have refuted it.
  const finding = ({ verdict, mark, claim, lines, tried }) => {
    const sign = put(make("b", `volta-verdict volta-${verdict}`, mark.sign));
    attributes(sign, { title: mark.meaning, "aria-label": mark.meaning });
    const summary = put(make("summary"), sign, make("span", "", claim));
    const details = put(make("details", "volta-finding"), summary, ...lines.map((line) => make("p", "volta-note", line)));
    if (tried) put(details, table(tried));
    return details;
  };
  const languages = ({ items }) => {
    const list = attributes(make("nav"), { "aria-label": say("languages") });
    items.forEach(({ code, name }) => {
      const anchor = make("a", "", name);
      anchor.lang = code;
      anchor.href = `?lang=${code}`;
      if (say("locale").startsWith(code)) anchor.setAttribute("aria-current", "true");
      anchor.addEventListener("click", (event) => {
        event.preventDefault();
        document.cookie = `volta-language=${code}; path=/; max-age=31536000; SameSite=Lax`;
        location.assign(addressOf({ lang: code })); // the cookie may be refused in a frame, as on the Hub
      });
      put(list, anchor);
    });
    return list;
  };
  const kinds = { heading, folded, finding, pager, table, bars, words, tries, run, link, log, text, languages };
  // What the reader was in the middle of, by the label of the part: a new drawing takes it up again.
  const remembered = (element) => {
    const parts = [...element.querySelectorAll("[aria-label]")].map((part) => [
      part.getAttribute("aria-label"), part.scrollLeft, part.scrollTop, part === document.activeElement,
    ]);
    const open = [...element.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
    return () => {
      parts.forEach(([label, left, top, focused]) => {
        const part = element.querySelector(`[aria-label="${CSS.escape(label)}"]`);
        if (!part) return;
        [part.scrollLeft, part.scrollTop] = [left, top];
        if (focused) part.focus({ preventScroll: true });
      });
      element.querySelectorAll("details > summary").forEach((summary) => {
        if (open.includes(summary.textContent)) summary.parentNode.open = true;
      });
    };
  };
  const blocks = (element, props, watch, trigger, live) => {
    element.addEventListener("volta-pick", ({ detail }) => ((pickedLast = detail), trigger("input")));
    if (live) element.setAttribute("aria-live", "polite"); // read out when it changes
    let marked = [];
    const draw = () => {
      marked.forEach((id) => document.getElementById(id)?.classList.remove("volta-invalid"));
      marked = (props.value || []).flatMap(({ field }) => field ?? []);
      const restore = remembered(element);
      element.replaceChildren(...(props.value || []).map((block) => kinds[block.kind](block)));
      restore();
      element.querySelectorAll(".volta-log").forEach((pre) => (pre.scrollTop = pre.scrollHeight));
    };
    watch("value", draw);
    draw();
  };

  // The list of runs: searched, sorted and ticked in the browser; what is ticked stands in the address

  let ticked = null; // names, in the order in which they were ticked; null until somebody has ticked
  const chosen = () => {
    const asked = new URLSearchParams(location.search);
    if (!ticked && asked.get("tab") === "runs" && asked.get("run")) ticked = asked.get("run").split(",");
    return ticked;
  };

  const runs = (element, props, watch, trigger) => {
    let sorted = { column: null, down: true }; // null: as they came, newest first
    const asked = { type: "search", placeholder: say("search"), "aria-label": say("search") };
    const search = attributes(make("input", "volta-search"), asked);
    const list = make("div");
    element.replaceChildren(search, list);

    const tick = (name, on) => {
      const before = chosen() ?? props.value.chosen;
      ticked = on ? [...before, name] : before.filter((other) => other !== name);
      remember("runs", ticked.join(","));
      draw();
      trigger("input");
    };
    const head = (columns) => {
      const row = put(make("tr"), make("th"));
      columns.forEach(({ name, kind, help }, column) => {
        const cell = make("th", kind === "number" ? "volta-number" : "");
        const button = make("button", "volta-sort", name);
        if (help) (button.title = help), button.classList.add("volta-term");
        const on = sorted.column === column;
        attributes(cell, { scope: "col", "aria-sort": on ? (sorted.down ? "descending" : "ascending") : "none" });
        button.addEventListener("click", () => {
          sorted = { column, down: on ? !sorted.down : kind === "number" };
          draw();
        });
        put(row, put(cell, button));
      });
      return put(make("thead"), row);
    };
    const line = (run, columns, on) => {
      const box = make("input");
      Object.assign(box, { type: "checkbox", checked: on });
      box.dataset.run = run.name;
      box.setAttribute("aria-label", say("show", { run: run.name }));
      box.addEventListener("change", () => tick(run.name, box.checked));
      const row = put(make("tr", on ? "volta-ticked" : ""), put(make("td"), box));
      run.cells.forEach((text, i) => {
        const state = columns[i].kind === "state" ? ` volta-state volta-${run.state}` : "";
        put(row, make("td", (columns[i].kind === "number" ? "volta-number" : "") + state, text));
      });
      row.addEventListener("click", (event) => event.target === box || box.click());
      return row;
    };
    const draw = () => {
      const { columns = [], rows = [], chosen: usual = [], empty = "" } = props.value ?? {};
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = rows.filter((run) => words.every((word) => run.cells.join(" ").toLowerCase().includes(word)));
      if (sorted.column !== null) {
        const key = (run) => run.keys[sorted.column];
        const missing = (a, b) => (key(a) === null) - (key(b) === null); // without a value: always last
        const order = (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
        shown.sort((a, b) => missing(a, b) || (sorted.down ? order(b, a) : order(a, b)));
      }
      if (chosen() && rows.length) {
        const left = ticked.filter((name) => rows.some((run) => run.name === name)); // the others are deleted
        if (left.length < ticked.length) {
          ticked = left.length ? left : null;
          if (new URLSearchParams(location.search).get("tab") === "runs") remember("runs", left.join(","));
        }
      }
      const on = new Set(chosen() ?? usual);
      const focused = document.activeElement?.dataset?.run;
      const sorting = [...list.querySelectorAll(".volta-sort")].indexOf(document.activeElement);
      const scroll = make("div", "volta-scroll volta-runs");
      const { scrollTop: top = 0, scrollLeft: left = 0 } = list.firstChild ?? {};
      const body = put(make("tbody"), ...shown.map((run) => line(run, columns, on.has(run.name))));
      put(scroll, put(make("table"), head(columns), body));
      search.hidden = !rows.length;
      const none = rows.length ? say("no_match") : empty;
      list.replaceChildren(shown.length ? scroll : make("p", "volta-hint", none));
      [scroll.scrollTop, scroll.scrollLeft] = [top, left];
      if (sorting >= 0) list.querySelectorAll(".volta-sort")[sorting]?.focus();
      if (focused) list.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
    };
    search.addEventListener("input", draw);
    watch("value", draw);
    draw();
  };

  // Charts

  let plotly = null;
  const loadPlotly = () =>
    (plotly ??= new Promise((resolve) => {
      const script = make("script");
      script.src = "volta/plotly.min.js"; // relative: the page may stand under a path of its host
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => ((plotly = null), resolve(null)); // the app is away; the next update tries again
      document.head.append(script);
    }));

  const themed = (layout, element) => {
    const style = getComputedStyle(element);
    const colour = (name) => style.getPropertyValue(`--volta-${name}`).trim();
    const axis = { gridcolor: colour("line"), linecolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
    return {
      ...layout,
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
      font: { family: style.fontFamily, size: 12, color: colour("ink-soft") },
      hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("line"), font: { color: colour("ink") } },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      // On a touch screen a drag scrolls the page, and zooming is left to the buttons.
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    };
  };

  const shown = (value) => {
    if (value == null) return "";
    if (Number.isInteger(value)) return value.toLocaleString("en-US");
    return Math.abs(value) < 0.01 ? value.toPrecision(3) : value.toFixed(3);
  };
  const numbers = ({ title, figure }) => {
    const traces = figure.data.filter((trace) => trace.showlegend !== false);
    const steps = [...new Set(traces.flatMap((trace) => trace.x))].sort((a, b) => a - b);
    const at = traces.map((trace) => new Map(trace.x.map((x, i) => [x, trace.y[i]])));
    const names = [figure.layout.xaxis.title.text, ...traces.map((trace) => trace.name)];
    return table({
      label: title,
      columns: names.map((name) => ({ name, kind: "number" })),
      rows: steps.map((step) => [shown(step), ...at.map((values) => shown(values.get(step)))]),
    });
  };

  const chart = (element, props, watch) => {
    const heading = make("h3"), plot = make("div", "volta-plot"), empty = make("p", "volta-hint");
    const details = put(make("details", "volta-numbers"), make("summary", "", say("numbers")));
    element.replaceChildren(heading, empty, plot, details);
    const fill = () => {
      if (details.open && props.value?.figure) details.replaceChildren(details.firstChild, numbers(props.value));
    };
    const draw = async () => {
      const Plotly = props.value?.figure ? await loadPlotly() : null;
      const value = props.value; // the newest: it may have changed while plotly was loading
      const drawable = Plotly && value?.figure;
      heading.textContent = value?.title ?? "";
      const away = value?.figure && !Plotly ? say("away") : null;
      empty.textContent = drawable ? "" : (away ?? value?.empty ?? "");
      plot.hidden = details.hidden = !drawable;
      if (!drawable) return;
      attributes(plot, { role: "figure", "aria-label": value.title });
      // A constant uirevision in the layout makes react keep the reader's zoom; another run's figure has another one.
      Plotly.react(plot, value.figure.data, themed(value.figure.layout, element), {
        displaylogo: false,
        responsive: true,
        modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]], // none that uploads a chart
      });
      fill();
    };
    details.addEventListener("toggle", fill);
    watch("value", draw);
    new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light, dark
    new ResizeObserver(() => plot.offsetWidth && plot.data && window.Plotly.Plots.resize(plot)).observe(element);
    draw();
  };

  // The address: what is looked at, so that a refresh or a second tab shows the same

  let opened = false; // until then gradio itself selects its first tab, which must not overwrite the address
  const open = () => {
    opened = true;
    if (!location.hash) return;
    const scroll = () => document.getElementById(location.hash.slice(1))?.scrollIntoView();
    const drawn = new ResizeObserver(scroll); // the page grows while the tab is drawn
    drawn.observe(document.body);
    setTimeout(() => drawn.disconnect(), 3000);
  };
  const ofErrors = ["data", "split", "example", "beside", "show", "search", "regex", "rule", "sort", "at"];
  const rememberErrors = ([place, run, file, beside, show, search, regex, rule, sort]) => {
    const url = new URL(location.href);
    if (!opened || !inSight("errors")) return;
    const [data, split] = (file ?? "").split("/");
    const usual = { show: "errors", sort: "loss", at: 1 }; // are not told
    const { page: at, example } = place; // "page" is gradio's own
    const values = { tab: "errors", run, data, split, beside, show, search, regex, rule, sort, at, example };
    Object.entries(values).forEach(([name, value]) =>
      value && value !== usual[name] ? url.searchParams.set(name, value) : url.searchParams.delete(name),
    );
    history.replaceState(history.state, "", url);
  };
  // The list is asked for by one event, so that an answer to an older question never comes last: a click on it turns the
  // page or opens a sentence, anything else begins at the first page.
  const askErrors = (place, ...values) => {
    const clicked = picked();
    return [clicked?.page || clicked?.example ? { ...place, ...clicked } : { ...place, page: 1 }, ...values];
  };
  // A click on a cell of the confusion matrix changes which labels are asked for, one on a slice the rest of the rule; a
  // second click takes it back.
  const ruleWith = (rule, show) => {
    const { rule: clicked, show: asked } = picked();
    const box = document.querySelector("#errors-rule :is(input, textarea)");
    setTimeout(() => box.dispatchEvent(new Event("blur")), 50); // asks for the list, once the box has the rule
    const ofLabels = (rule) => rule.split(" & ").filter((part) => /^(gold|predicted):/.test(part)).join(" & ");
    const others = (rule) => rule.split(" & ").filter((part) => part && !/^(gold|predicted):/.test(part)).join(" & ");
    const changed = (part) => (part(clicked) ? (part(clicked) === part(rule) ? "" : part(clicked)) : part(rule));
    return [[changed(ofLabels), changed(others)].filter(Boolean).join(" & "), asked ?? show]; // right ones are no errors
  };
  const remember = (tab, run, beside) => {
    if (!opened) return;
    const url = new URL(location.href);
    ofErrors.forEach((name) => url.searchParams.delete(name));
    if (beside) url.searchParams.set("beside", beside);
    if (run) url.searchParams.set("run", run);
    else if (run === "" || url.searchParams.get("tab") !== tab) url.searchParams.delete("run"); // none, or another tab's
    url.searchParams.set("tab", tab);
    history.replaceState(history.state, "", url);
  };

  // Which timers tick: of Train and of Runs, only that of the tab in sight. It is asked of the page itself, since while
  // a page opens, gradio tells of its first tab too, and not always before the one that is asked for.
  const inSight = (tab) => document.querySelector(`#${tab}-tab-button`)?.ariaSelected === "true";
  const ticking = async () => {
    await new Promise((resolve) => setTimeout(resolve));
    return ["train", "runs"].map((tab) => ({ __type__: "update", active: inSight(tab) }));
  };

  // What the user typed: kept by the browser, so that a refresh shows it again

  const keep = (key, value) => localStorage.setItem(`volta-${key}`, JSON.stringify(value));
  const kept = (key) => {
    try {
      return JSON.parse(localStorage.getItem(`volta-${key}`));
    } catch {
      return null; // not written by this page
    }
  };

  return { askErrors, blocks, chart, chosen, keep, kept, open, picked, remember, rememberErrors, ruleWith, runs, ticking };
})();
