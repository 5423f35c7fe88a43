// Search: a field with a list, as the combobox of the ARIA practices.

import { html, replace, set } from "./dom.js";
import { bdi, plain } from "./names.js";

const MOST = 12;
const FAR_BACK = 10_000;

export class Search {
  constructor(field, list, choose) {
    this.field = field;
    this.list = list;
    this.choose = choose;
    this.nodes = [];
    this.found = [];
    this.at = 0;
    field.addEventListener("input", () => this.look());
    field.addEventListener("focus", () => this.look());
    field.addEventListener("blur", () => this.close());
    field.addEventListener("keydown", (event) => this.key(event));
  }

  over(map) {
    this.nodes = [...map.nodes.values()];
  }

  look() {
    const words = this.field.value.trim().toLowerCase();
    const ranked = this.nodes.map((node) => ({ node, rank: rankOf(node, words) })).filter(({ rank }) => rank !== null);
    ranked.sort((one, other) => one.rank - other.rank || one.node.name.length - other.node.name.length);
    this.found = words ? ranked.slice(0, MOST).map(({ node }) => node) : [];
    this.at = 0;
    this.show(words);
  }

  show(words) {
    const nothing = words && !this.found.length ? [html("li", { class: "muted" }, "Nothing of that name")] : [];
    replace(
      this.list,
      this.found.map((node, at) => this.option(node, at)),
      nothing,
    );
    this.list.hidden = !words;
    set(this.field, "aria-expanded", String(Boolean(words)));
    set(this.field, "aria-activedescendant", this.found.length ? `found-${this.at}` : null);
  }

  option(node, at) {
    // Before the field loses the focus, and the list is gone.
    const pick = (event) => {
      event.preventDefault();
      this.pick(node);
    };
    return html(
      "li",
      { id: `found-${at}`, role: "option", "aria-selected": String(at === this.at), mousedown: pick },
      html("b", {}, bdi(node.label)),
      html("span", { class: "muted" }, [node.kind, plain(node.where)].filter(Boolean).join(" · ")),
    );
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.show(this.field.value.trim());
    } else if (event.key === "Enter" && this.found[this.at]) this.pick(this.found[this.at]);
    else if (event.key === "Escape" && !this.list.hidden) {
      this.field.value = "";
      this.close();
    } else return;
    event.preventDefault();
  }

  pick(node) {
    this.field.value = "";
    this.field.blur();
    this.choose({ node: node.id });
  }

  close() {
    this.found = [];
    this.show("");
  }
}

// The exact name comes first, then names that begin with the words, then those that have them further back. What else
// the label says, an environment or a cluster, is found too. Null where nothing fits.
function rankOf(node, words) {
  const at = node.name.toLowerCase().indexOf(words);
  if (at >= 0) return node.name.toLowerCase() === words ? -1 : at;
  const beside = node.label.toLowerCase().indexOf(words);
  return beside >= 0 ? FAR_BACK + beside : null;
}
