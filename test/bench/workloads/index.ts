import { bulkWorkloads } from './bulk.js';
import { footprint } from './footprint.js';
import { handshakes } from './handshakes.js';
import { httpWorkloads } from './http.js';
import { idle } from './idle.js';
import { limit } from './limit.js';
import { roundTrips } from './round-trips.js';
import { startUp } from './start-up.js';
import type { Workload } from './workload.js';

/** @param node major version under which warren runs */
export function workloads(node: number): Workload[] {
  return [...bulkWorkloads(node), ...httpWorkloads, limit, idle, roundTrips, handshakes, footprint, startUp];
}
