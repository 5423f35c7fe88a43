// Versions of services, as markers on charts.

import { cleanName } from "./names.js";

/** @import { Edge, Service } from "./api_types.d.ts" */
/** @import { ChartMarker } from "./chart.js" */
/** @import { LinkedNode, MapModel } from "./map_model.js" */

const MAX_CHARACTERS = 24;

/**
 * Return a marker for each time at which the version of a service changed. The first known version is no change.
 * @param {(Service | null | undefined)[]} services
 * @returns {ChartMarker[]}
 */
export function listVersionMarkers(services) {
  const known = services.filter((service) => service !== null && service !== undefined);
  const markers = known.flatMap(({ name, versions }) =>
    versions.slice(1).map(({ version, since }) => {
      const label = `version ${cleanName(version, MAX_CHARACTERS)}`;
      return { time: since, label: known.length > 1 ? `${cleanName(name, MAX_CHARACTERS)} ${label}` : label };
    }),
  );
  return markers.sort((one, other) => one.time - other.time);
}

/**
 * Return the service of a hop; undefined if it is not on the map.
 * @param {Pick<Edge, "service" | "env">} edge
 * @param {Pick<MapModel, "services">} map
 */
export function findService({ service, env }, map) {
  return map.services.find((each) => each.name === service && each.env === env);
}

/**
 * Return a service itself, or the services that write to a queue and read from it.
 * @param {LinkedNode} node
 * @param {Pick<MapModel, "nodes">} map
 * @returns {Service[]}
 */
export function findServicesAt(node, map) {
  if (node.service) return [node.service];
  const ids = [...node.incoming.map(({ from }) => from), ...node.outgoing.map(({ to }) => to)];
  return [...new Set(ids)].flatMap((id) => map.nodes.get(id)?.service ?? []);
}
