// The page: joins the map, the panel, the search and the status, and keeps them up to date.

import { parseFragment, readAddress, readSelection, removeRange, select, writeRange, writeView } from "./address.js";
import { updateBadge } from "./alerts.js";
import { AgentError, fetchAlerts, fetchMap } from "./api.js";
import {
  connectPauseButton,
  connectShortcuts,
  connectSkipButton,
  connectThemeButton,
  connectZoomButtons,
} from "./controls.js";
import { parseDisplay, toggleFold, toMapQuery } from "./display.js";
import { createHtml, getElement, replaceContent, setText } from "./dom.js";
import { EdgeList, parseOrder } from "./edge_list.js";
import { takeFirstAlerts, takeFirstMap } from "./first_request.js";
import { describeLastMinute } from "./format.js";
import { Graph } from "./graph.js";
import { createGroupLegend, findGroups } from "./groups.js";
import { HistoryBar } from "./history.js";
import { LiveUpdates } from "./live.js";
import { buildMapModel } from "./map_model.js";
import { chooseDisplay, NARROW, toMapParameters } from "./map_request.js";
import { createEmptyRange, createFirstSteps, describeEmptyRange } from "./overview.js";
import { Panel } from "./panel.js";
import { RulesDialog } from "./rules.js";
import { Search } from "./search.js";
import { Status } from "./status.js";
import { HISTORY, parseRange, rangeUntil, TimeRange } from "./time_range.js";
import { Toolbar } from "./toolbar.js";

/** @import { RangeFields, Selection, ViewFields } from "./address.js" */
/** @import { DrawnMap } from "./api_types.d.ts" */
/** @import { LiveState } from "./live.js" */
/** @import { MapModel } from "./map_model.js" */

// The panel's charts are requested less often than the map.
const DETAILS_INTERVAL_MS = 5_000;
// What the page shows before and after a moment that it looks at.
const AROUND_MOMENT_SECONDS = 300;

class Page {
  constructor() {
    this.range = new TimeRange(getElement("range", HTMLSelectElement));
    this.history = new HistoryBar(this.range);
    this.graph = new Graph(getElement("graph", SVGSVGElement), select);
    const sort = (/** @type {string} */ order) => writeView({ sort: order }, { replace: true });
    const fold = (/** @type {string} */ key) => writeView(toggleFold(parseDisplay(readAddress()), key));
    this.list = new EdgeList(getElement("list", HTMLElement), { select, sort, fold });
    this.toolbar = new Toolbar();
    this.search = new Search(getElement("search", HTMLInputElement), getElement("found", HTMLElement), select);
    this.status = new Status(getElement("state", HTMLElement), getElement("notice", HTMLElement));
    this.live = new LiveUpdates(
      (isWanted) => this.refresh(isWanted),
      (state, error) => this.showState(state, error),
    );
    this.panel = new Panel(getElement("panel", HTMLElement), {
      select,
      highlightPathway: (edges) => this.highlight(edges ?? undefined),
      highlightPathwaysThrough: (node, edges) => {
        this.through = { node, edges };
        this.highlight();
      },
      lookBackTo: (selection, moment) => writeRange(this.range.reachBack(moment, this.map?.oldest), selection),
      openRules: () => this.rules.open(),
      lookAt: (selection, moment) =>
        writeRange(rangeUntil(moment + AROUND_MOMENT_SECONDS, 2 * AROUND_MOMENT_SECONDS), selection),
    });
    this.rules = new RulesDialog(() => this.live.requestNow());
    this.isNarrow = matchMedia(NARROW);
    /** @type {MapModel | null} */
    this.map = null;
    /** @type {{ node: string, edges: Set<string> } | null} The edges of all pathways through a node. */
    this.through = null;
    this.detailsRequestedAt = Number.NEGATIVE_INFINITY;
  }

  start() {
    addEventListener("hashchange", (event) => this.handleAddressChange(new URL(event.oldURL).hash));
    this.range.select.addEventListener("change", () => this.handleRangeChange());
    this.isNarrow.addEventListener("change", () => this.live.requestNow());
    connectPauseButton(this.live);
    connectZoomButtons(this.graph.view);
    connectShortcuts(this.search.field, () => select({}));
    connectThemeButton();
    connectSkipButton(this.panel.element);
    this.showRange();
  }

  /** Show the range that the address names. A range of the past does not change, so it is requested only once. */
  showRange() {
    this.detailsRequestedAt = Number.NEGATIVE_INFINITY;
    this.range.selectRange(readAddress());
    this.history.showRange();
    const pause = getElement("pause", HTMLButtonElement);
    const isPast = this.range.past() !== null;
    pause.disabled = isPast;
    if (isPast && this.live.running) this.live.stop();
    if (isPast || this.live.running || pause.getAttribute("aria-pressed") === "true") this.live.requestNow();
    else this.live.start();
  }

  /**
   * Request the map and the details of the selection, and show them.
   * @param {() => boolean} isWanted
   */
  async refresh(isWanted) {
    // The states of alerts are those of the present: of the past, the agent does not keep them.
    const past = this.range.past();
    const [answer, alerts] = await Promise.all([this.requestMap(), past ? undefined : fetchAlerts(takeFirstAlerts)]);
    if (!isWanted()) return;
    if (!this.map) showLegend(answer.levels);
    this.map = buildMapModel(answer, alerts, { isPast: past !== null });
    setText(getElement("moment-shown", HTMLElement), describeLastMinute(this.map));
    this.history.setBounds(this.map.oldest);
    updateBadge(getElement("alerts", HTMLElement), this.map, () => select({}));
    this.showView(this.map);
    this.search.useMap(this.map);
    this.showEmpty(this.map);
    const isOverview = Object.keys(readSelection()).length === 0;
    const isDue = performance.now() - this.detailsRequestedAt >= DETAILS_INTERVAL_MS;
    if (isDue || isOverview) await this.showDetails(this.map);
  }

  /**
   * Show the map or the list: what the address says, or the list where there is no room for a map.
   * @param {MapModel} map
   */
  showView(map) {
    const selection = readSelection();
    getElement("map", HTMLElement).dataset.view = this.view;
    this.toolbar.update(map, this.view, selection.node);
    if (this.view === "list") {
      this.list.show(map, parseOrder(readAddress().sort), selection.edge, parseDisplay(readAddress()));
      return;
    }
    this.graph.draw(map);
    this.highlight();
    replaceContent(getElement("groups", HTMLElement), createGroupLegend(findGroups(map)));
  }

  get view() {
    return chooseDisplay(readAddress(), this.isNarrow.matches).view;
  }

  /**
   * Return the parameters of a request for what is displayed.
   * @param {ViewFields} fields
   */
  mapQuery(fields) {
    return toMapQuery(chooseDisplay(fields, this.isNarrow.matches));
  }

  /**
   * Request the map of the selected time range. If the agent rejects the range, because it keeps less, request that of
   * the default range.
   * @returns {Promise<DrawnMap>}
   */
  async requestMap() {
    const request = () => fetchMap(toMapParameters(readAddress(), this.isNarrow.matches), takeFirstMap);
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof AgentError) || error.status !== 400 || this.range.isDefault()) throw error;
      removeRange();
      this.range.selectRange({});
      return request();
    }
  }

  /**
   * Show the panel. While the page is paused, its details are of the time that the map shows.
   * @param {MapModel} map
   */
  async showDetails(map) {
    this.detailsRequestedAt = performance.now();
    const range = this.live.running ? this.range.toQuery() : { from: map.from, to: map.to };
    await this.panel.show(readSelection(), map, range);
  }

  /** @param {Set<string>} [pathway] The edges of the pathway under the pointer. */
  highlight(pathway) {
    if (!this.map) return;
    const selection = readSelection();
    const { node = selection.transaction } = selection;
    const through = node === this.through?.node ? this.through?.edges : undefined;
    const traced = pathway ?? (selection.transaction ? through : undefined);
    this.graph.highlight(traced ? { pathway: traced } : { ...selection, through }, this.map);
  }

  /** @param {string} before The fragment of the address before. */
  handleAddressChange(before) {
    const [old, current] = [parseFragment(before), readAddress()];
    if (this.map) this.showView(this.map);
    const isSame = old.node === current.node && old.edge === current.edge && old.transaction === current.transaction;
    if (this.map && !isSame) this.showSelection(this.map, old);
    const isRedrawn = JSON.stringify(this.mapQuery(old)) !== JSON.stringify(this.mapQuery(current));
    if (isRedrawn) this.graph.view.movedByUser = false; // what is drawn now is fitted into the screen
    if (!isSameRange(old, current)) this.showRange();
    else if (isRedrawn) this.live.requestNow();
  }

  handleRangeChange() {
    const { value } = this.range.select;
    if (value !== HISTORY) return writeRange({ minutes: value });
    this.range.selectRange(readAddress()); // the list keeps to the range that is shown
    this.history.open();
  }

  /**
   * @param {MapModel} map
   * @param {Selection} before What was selected before.
   */
  showSelection(map, before) {
    const selection = readSelection();
    this.highlight();
    if (selection.node) this.graph.reveal(selection.node);
    const focused = document.activeElement;
    this.showDetails(map).catch((error) => {
      this.detailsRequestedAt = Number.NEGATIVE_INFINITY;
      this.showState("away", error);
      this.live.retry();
    });
    // At once, not when the answer arrives: by then, the user may be somewhere else.
    if (Object.keys(selection).length > 0) this.focusPanel();
    else this.focusGraph(focused, before);
  }

  focusPanel() {
    const { element } = this.panel;
    if (!element.contains(document.activeElement)) element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start" }); // on a small screen it is below the map
  }

  /**
   * Return the focus to the map or the list when the panel is closed, unless it is somewhere else on the page.
   * @param {Element | null} focused What had the focus before the panel was closed.
   * @param {Selection} before What was selected then.
   */
  focusGraph(focused, before) {
    const isFree = !focused?.isConnected || focused === document.body || this.panel.element.contains(focused);
    if (!isFree) return;
    getElement("map", HTMLElement).scrollIntoView({ block: "nearest" });
    if (this.view === "list") this.list.focus(before.edge ?? "");
    else this.graph.focus(before.node ?? before.edge ?? "");
  }

  /**
   * Say why there is nothing to draw, if there is nothing.
   * @param {MapModel} map
   */
  showEmpty(map) {
    const empty = getElement("empty", HTMLElement);
    const isEmpty = map.nodes.size === 0;
    const reason = map.oldest === null ? "" : describeEmptyRange(map, Date.now() / 1000);
    if (isEmpty && (empty.hidden || empty.dataset.reason !== reason)) {
      replaceContent(empty, reason ? createEmptyRange(reason) : createFirstSteps());
    }
    empty.dataset.reason = reason;
    empty.hidden = !isEmpty;
    getElement("map", HTMLElement).classList.toggle("nothing", isEmpty);
  }

  /**
   * @param {LiveState} state
   * @param {unknown} [error]
   */
  showState(state, error) {
    const isPast = state === "paused" && this.range.past() !== null;
    this.status.show(isPast ? "past" : state, this.map?.to, error);
  }
}

/**
 * @param {RangeFields} one
 * @param {RangeFields} other
 */
function isSameRange(one, other) {
  return JSON.stringify(parseRange(one)) === JSON.stringify(parseRange(other));
}

/** @param {string[]} levels The labels of the levels, from the fastest to the slowest. */
function showLegend(levels) {
  const labels = levels.map((label, level) => createHtml("li", { class: `warm-${level}` }, label));
  replaceContent(getElement("scale", HTMLElement), labels);
}

// After a login or a link from another site, the address has a query that nobody needs any more.
if (location.search) history.replaceState(null, "", `${location.pathname}${location.hash}`);
new Page().start();
