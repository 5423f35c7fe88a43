// The dialog with the rules of alerts: those of the page can be added, changed and removed.

import { AgentError, addRule, fetchRules, removeRule, replaceRule } from "./api.js";
import { createHint, createHtml, findKeyed, getElement, replaceContent, setText } from "./dom.js";
import { createName } from "./names.js";
import { clearProblem, createRuleForm, markProblem, readRuleForm } from "./rule_form.js";

/** @import { RuleFields, RuleKind, WrittenRule, WrittenRules } from "./api_types.d.ts" */

const NOT_KEPT = "Rules that are added here end with the agent: it runs without --store and --page-rules.";

export class RulesDialog {
  /** @param {() => void} handleChange Called after a rule was changed. */
  constructor(handleChange) {
    this.handleChange = handleChange;
    this.dialog = getElement("rules", HTMLDialogElement);
    this.content = getElement("rules-content", HTMLElement);
    this.problem = getElement("rules-problem", HTMLElement);
    getElement("rules-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    // Escape closes the dialog, and is not to clear the selection of the page as well.
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("close", () => this.returnFocus());
    document.addEventListener("visibilitychange", () => this.renewList());
    this.opener = "";
    /** @type {RuleKind[]} */
    this.kinds = [];
    this.kept = true;
  }

  async open() {
    const opener = document.activeElement;
    this.opener = (opener instanceof HTMLElement && opener.dataset.key) || "";
    replaceContent(this.content, createHint("Loading …"));
    this.dialog.showModal();
    // Who opened the dialog to add a rule has said so already.
    if ((await this.run(fetchRules)) && this.dialog.open && !this.content.querySelector("li")) this.showForm(null);
  }

  /** Return the focus to what opened the dialog. The panel may have been shown anew since, with new buttons. */
  returnFocus() {
    const isLost = !document.activeElement || document.activeElement === document.body;
    if (isLost && this.opener) findKeyed(document.body, this.opener)?.focus({ preventScroll: true });
  }

  /** Request the rules again if their list is shown again, since somebody else may have changed them. */
  renewList() {
    const isList = this.dialog.open && !this.content.querySelector("form");
    if (isList && document.visibilityState === "visible") this.run(fetchRules);
  }

  /**
   * Let the agent do something, and show the rules that it answers with, or what is wrong.
   * @param {() => Promise<WrittenRules>} request
   * @returns {Promise<boolean>} Whether it was done.
   */
  async run(request) {
    setText(this.problem, "");
    const form = this.content.querySelector("form");
    if (form) clearProblem(form);
    try {
      this.showList(await request());
      return true;
    } catch (error) {
      const detail = error instanceof AgentError ? error.detail : null;
      if (form && detail && markProblem(form, detail)) return false;
      setText(this.problem, error instanceof AgentError ? `${error.message}.` : String(error));
      return false;
    }
  }

  /** @param {WrittenRules} answer */
  showList({ rules, kept, kinds }) {
    [this.kinds, this.kept] = [kinds, kept];
    replaceContent(
      this.content,
      !kept && createHint(NOT_KEPT),
      createHtml(
        "ul",
        {},
        rules.map((each) => this.createRow(each)),
      ),
      rules.length === 0 && createHint("There are no rules yet."),
      createHtml("button", { type: "button", "data-key": "add", click: () => this.showForm(null) }, "Add a rule"),
    );
  }

  /** @param {WrittenRule} written */
  createRow(written) {
    const { rule, source } = written;
    const isOfPage = source === "page";
    const edit = { type: "button", "data-key": `edit ${rule.name}`, click: () => this.showForm(written) };
    return createHtml(
      "li",
      { class: "rule" },
      createHtml("strong", {}, createName(rule.name)),
      createHtml("span", { class: "muted" }, describeRule(rule), describeSource(written)),
      isOfPage && createHtml("button", { ...edit, "aria-label": `Change ${rule.name}` }, "Change"),
    );
  }

  /** @param {WrittenRule | null} before The rule to change; null to add one. */
  showForm(before) {
    const rule = before?.rule ?? null;
    setText(this.problem, "");
    const form = createRuleForm(rule, this.kinds);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const written = readRuleForm(form, rule, this.kinds);
      this.change(() => (before ? replaceRule(before, written) : addRule(written)));
    });
    const remove = { type: "button", class: "danger", click: () => this.confirmRemoval(form, before) };
    form.append(
      createHtml(
        "div",
        { class: "actions" },
        createHtml("button", { type: "submit" }, rule ? "Save" : "Add"),
        createHtml("button", { type: "button", click: () => this.run(fetchRules) }, "Cancel"),
        rule && createHtml("button", remove, "Delete"),
      ),
    );
    replaceContent(this.content, !this.kept && createHint(NOT_KEPT), form);
    form.querySelector("input")?.focus();
  }

  /**
   * The first click on the button asks, the second one removes the rule.
   * @param {HTMLFormElement} form
   * @param {WrittenRule | null} before
   */
  confirmRemoval(form, before) {
    const button = form.querySelector(".danger");
    if (!before || !button) return;
    if (button.textContent === "Delete") setText(button, "Really delete?");
    else this.change(() => removeRule(before));
  }

  /** @param {() => Promise<WrittenRules>} request */
  async change(request) {
    if (await this.run(request)) this.handleChange();
  }
}

/**
 * Say where a rule is written, if that is not the page, and whether it counts.
 * @param {Pick<WrittenRule, "source" | "in_force">} written
 */
export function describeSource({ source, in_force: isInForce }) {
  if (source === "file") return " · in the file of --rules";
  return isInForce ? "" : " · not in force: the file of --rules has a rule of this name";
}

/**
 * Describe a rule in one line, as in "lag above 60 s for 2 min, group billing".
 * @param {RuleFields} rule
 */
export function describeRule({ when, above, for: duration, quantile, severity, webhook, name: _, ...where }) {
  const limit = above === undefined || above === null ? "" : ` above ${above}`;
  const places = Object.entries(where).flatMap(([field, value]) =>
    value === undefined || value === null ? [] : [`${field} ${value || '""'}`],
  );
  return [
    `${quantile ? `${quantile} of ` : ""}${when}${limit}${duration ? ` for ${duration}` : ""}`,
    ...places,
    severity ?? "warning",
    ...(webhook ? [`tells ${webhook}`] : []),
  ].join(", ");
}
