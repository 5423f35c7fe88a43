// The form of one rule of alerts: its fields depend on what the rule is about.

import { createHtml } from "./dom.js";

/** @import { RuleFields, RuleKind } from "./api_types.d.ts" */

const EVERYWHERE = ["service", "env", "queue", "group", "type", "cluster"];

/**
 * Return the fields that a rule about something can have, besides its name and what it is about.
 * @param {RuleKind[]} kinds Those that the agent knows.
 * @param {string | undefined} when
 */
export function listFields(kinds, when) {
  return kinds.find((kind) => kind.when === when)?.fields ?? [];
}

/**
 * @param {string} name
 * @param {string} label
 * @param {HTMLElement} control
 */
const createField = (name, label, control) => createHtml("label", { "data-field": name }, label, control);

/**
 * @param {string} name
 * @param {readonly string[]} choices
 * @param {string | null | undefined} chosen
 */
function createChoice(name, choices, chosen) {
  const options = choices.map((choice) => createHtml("option", { value: choice, selected: choice === chosen }, choice));
  return createHtml("select", { name }, options);
}

/**
 * @param {RuleFields | null} rule The rule to change; null for a new one.
 * @param {RuleKind[]} kinds
 */
export function createRuleForm(rule, kinds) {
  const value = (/** @type {string} */ name) => {
    const found = /** @type {Record<string, unknown>} */ ({ ...rule })[name];
    return found === undefined || found === null ? "" : String(found);
  };
  const text = (/** @type {string} */ name, /** @type {string} */ label, placeholder = "") =>
    createField(name, label, createHtml("input", { name, value: value(name), placeholder, autocomplete: "off" }));
  const when = createChoice(
    "when",
    kinds.map((kind) => kind.when),
    rule?.when,
  );
  const form = createHtml(
    "form",
    { class: "rule-form", "aria-label": rule ? `Change ${rule.name}` : "Add a rule" },
    text("name", "Name"),
    createField("when", "When", when),
    text("above", "Is above"),
    text("for", "For", "2 min"),
    createField(
      "quantile",
      "Quantile",
      createChoice("quantile", ["p50", "p95", "p99", "max"], rule?.quantile ?? "p99"),
    ),
    createField("severity", "Severity", createChoice("severity", ["warning", "critical"], rule?.severity ?? "warning")),
    EVERYWHERE.map((name) => text(name, `Only ${name}`, "everywhere; * stands for any characters")),
    text("webhook", "Webhook", rule?.webhook ? "keeps the one that it has" : "https://…"),
    rule?.webhook &&
      createField("webhook", "Without its webhook", createHtml("input", { type: "checkbox", name: "without-webhook" })),
  );
  const webhook = form.elements.namedItem("webhook");
  if (webhook instanceof HTMLInputElement) webhook.value = ""; // only its host is known here
  const showFields = () => showFieldsOf(form, kinds, when.value);
  when.addEventListener("change", showFields);
  showFields();
  return form;
}

/**
 * @param {HTMLFormElement} form
 * @param {RuleKind[]} kinds
 * @param {string} when
 */
function showFieldsOf(form, kinds, when) {
  const shown = new Set(["name", "when", ...listFields(kinds, when)]);
  for (const field of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-field]"))) {
    field.hidden = !shown.has(field.dataset.field ?? "");
  }
  const above = form.elements.namedItem("above");
  const examples = kinds.find((kind) => kind.when === when)?.above ?? "";
  if (above instanceof HTMLInputElement) above.placeholder = examples;
}

/**
 * Mark the field that the agent says is wrong, with what is wrong with it in the words of the form, and focus it.
 * @param {HTMLFormElement} form
 * @param {{ path: string, problem: string }} detail
 * @returns {boolean} Whether the form has such a field. If not, the problem is not about one.
 */
export function markProblem(form, { path, problem }) {
  const control = form.elements.namedItem(path);
  const label = control instanceof HTMLElement && control.closest("label");
  if (!(control instanceof HTMLElement) || !label || label.hidden) return false;
  const text = describeFieldProblem(path, label.firstChild?.textContent ?? path, problem);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", "rule-problem");
  label.after(createHtml("p", { id: "rule-problem", class: "problem" }, text));
  control.focus();
  return true;
}

/**
 * Say what is wrong with a field by the name that it has in the form: “Is above” must be a duration.
 * @param {string} path The name of the field in a file of rules.
 * @param {string} label
 * @param {string} problem
 */
export function describeFieldProblem(path, label, problem) {
  return problem.startsWith(`${path} `) ? `“${label}” ${problem.slice(path.length + 1)}.` : `“${label}”: ${problem}.`;
}

/**
 * Forget what was wrong with the fields of a form.
 * @param {HTMLFormElement} form
 */
export function clearProblem(form) {
  form.querySelector("#rule-problem")?.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
  }
}

/**
 * Return the rule that is written in a form.
 * @param {HTMLFormElement} form
 * @param {RuleFields | null} before
 * @param {RuleKind[]} kinds
 */
export function readRuleForm(form, before, kinds) {
  const fields = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)]));
  return toRule(fields, before, kinds);
}

/**
 * Return a rule of the fields that apply to it and are filled in. A number is messages; `""` is an empty name. A rule
 * keeps the webhook that it had before, unless there is another one, or `without-webhook` is checked.
 * @param {Record<string, string>} fields
 * @param {RuleFields | null} before
 * @param {RuleKind[]} kinds
 * @returns {RuleFields}
 */
export function toRule(fields, before, kinds) {
  const given = listFields(kinds, fields.when).flatMap((name) => {
    const text = fields[name]?.trim() ?? "";
    // A field that was empty in the file, such as env = "", stays as it is.
    const was = /** @type {Record<string, unknown>} */ ({ ...before })[name];
    if (text === "" && was !== "") return [];
    if (text === '""') return [[name, ""]];
    return [[name, name === "above" && /^[0-9][0-9_]*$/.test(text) ? Number(text.replaceAll("_", "")) : text]];
  });
  const removed = fields["without-webhook"] ? [["webhook", null]] : [];
  return /** @type {RuleFields} */ ({
    name: fields.name?.trim() ?? "",
    when: fields.when,
    ...Object.fromEntries([...given, ...removed]),
  });
}
