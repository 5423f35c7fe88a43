// The types of the API's answers, as JSDoc.

/**
 * @typedef {{ p50: number | null, p95: number | null, p99: number | null, max: number | null }} Quantiles
 *
 * @typedef {object} Present What a hop is like now: in the last minute, or since it changed.
 * @property {number} rate Messages per second.
 * @property {Quantiles} edge_latency Seconds.
 * @property {number} slowness Seconds.
 * @property {number} level
 * @property {string} label
 * @property {string | null} tail
 * @property {string} state
 * @property {number | null} since Seconds since the epoch.
 * @property {number | null} before Seconds.
 *
 * @typedef {object} Edge
 * @property {string} id
 * @property {string} service
 * @property {string} env
 * @property {string} direction
 * @property {string} type
 * @property {string | null} cluster
 * @property {string} queue
 * @property {string | null} group
 * @property {number} count
 * @property {number} rate
 * @property {number | null} lag
 * @property {Quantiles} edge_latency
 * @property {Quantiles} pathway_latency
 * @property {Quantiles} payload_size
 * @property {Present} present
 * @property {number} clamped
 *
 * @typedef {object} Service
 * @property {string} name
 * @property {string} env
 * @property {number} pathways
 * @property {boolean} clocks_disagree
 *
 * @typedef {object} MapNode
 * @property {string} id
 * @property {string} kind
 * @property {string} name
 * @property {string} where
 * @property {string | null} cluster
 * @property {string} label
 * @property {string} qualifier
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 *
 * @typedef {{ x: number, y: number, side: string, lines: number }} MapLabel
 *
 * @typedef {object} MapLink
 * @property {string | null} edge
 * @property {string} from
 * @property {string} to
 * @property {[number, number][]} points
 * @property {MapLabel} label
 *
 * @typedef {object} DrawnMap
 * @property {number} from
 * @property {number} to
 * @property {Service[]} services
 * @property {unknown[]} queues
 * @property {Edge[]} edges
 * @property {string} flow
 * @property {number} width
 * @property {number} height
 * @property {number} left_out
 * @property {number} most_pathways
 * @property {MapNode[]} nodes
 * @property {MapLink[]} links
 *
 * @typedef {object} SeriesPoint
 * @property {number} start
 * @property {number} count
 * @property {number} rate
 * @property {Quantiles} edge_latency
 * @property {Quantiles} pathway_latency
 * @property {Quantiles} payload_size
 *
 * @typedef {{ step: number, points: SeriesPoint[] }} Series
 *
 * @typedef {object} Hop
 * @property {string} service
 * @property {string} edge
 * @property {string} direction
 * @property {string} type
 * @property {string} queue
 * @property {Quantiles} edge_latency
 * @property {number} level
 * @property {number} share
 *
 * @typedef {{ hash: string, rate: number, end_to_end: Quantiles, hops: Hop[] }} WholePathway
 * @typedef {{ pathways: WholePathway[] }} Pathways
 *
 * @typedef {{ start: number, behind: number }} LagPoint
 * @typedef {{ group: string, topic: string, partition: string, points: LagPoint[] }} LagSeries
 * @typedef {{ series: LagSeries[] }} LagOverTime
 */

export {};
