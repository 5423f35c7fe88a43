// The agent's answer, with what belongs together within reach.

const NEARLY = 0.8; // of the pathways that a service may have

export function modelOf(answer) {
  const edges = new Map(answer.edges.map((edge) => [edge.id, edge]));
  const nodes = new Map(answer.nodes.map((node) => [node.id, { ...node, incoming: [], outgoing: [] }]));
  const links = answer.links.map((link) => ({
    ...link,
    id: link.edge ?? `${link.from}-${link.to}`,
    about: edges.get(link.edge),
  }));
  for (const link of links) {
    nodes.get(link.from).outgoing.push(link);
    nodes.get(link.to).incoming.push(link);
  }
  const services = new Map(answer.services.map((service) => [key(service.name, service.env), service]));
  for (const node of nodes.values())
    node.service = node.kind === "service" ? services.get(key(node.name, node.where)) : undefined;
  return { ...answer, edges, nodes, links, linkOf: new Map(links.map((link) => [link.id, link])) };
}

const key = (name, env) => JSON.stringify([name, env]);

// What is wrong at a service, in sentences.
export function warnings(node, map) {
  const { service } = node;
  const found = [];
  if (service && service.pathways >= NEARLY * map.most_pathways) {
    found.push(
      `${service.pathways} distinct pathways: beyond about ${map.most_pathways}, Datadog drops what a service reports.`,
    );
  }
  if (service?.clocks_disagree) {
    found.push(
      "Clocks disagree: many messages seem to arrive before they were sent, and count as 0. Look at the time of this host, or of those before it.",
    );
  }
  return found;
}

// What decides the order of hops: how slow each is now.
export const slowness = (edge) => edge.present.slowness;
