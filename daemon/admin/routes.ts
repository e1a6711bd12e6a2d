/** The table of the admin API: which method and path asks what of the daemon. */
import Router from 'find-my-way';
import { PATHS } from '../../protocol/admin/contract.js';
import type { AdminApi, Asked } from './api.js';
import {
  backupBody,
  checkBody,
  checkId,
  checkNode,
  checkService,
  connectBody,
  detachBody,
  emptyBody,
  exposeBody,
  inviteBody,
  joinBody,
  pingBody,
  roleBody,
  rotateBody,
  settleBody,
  shutdownBody,
  type BodySchema,
} from './validate.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'DELETE'];

/** The parameter of the path, undecoded names refused; empty on paths without one. */
type Work = (api: AdminApi, parameter: string, body: unknown, asked: Asked) => object | Promise<object>;

export interface Route {
  readonly kind: 'json' | 'logs' | 'stream';
  readonly method: Method;
  readonly path: string;
  /** waits for other changes, see turns.ts */
  readonly changes: boolean;
  readonly work: Work;
}

const never: Work = () => {
  throw new Error('answered by the server');
};

function reads(path: string, work: (api: AdminApi) => object | Promise<object>): Route {
  return { kind: 'json', method: 'GET', path, changes: false, work: api => work(api) };
}

function takes<T>(
  route: { readonly method: Method; readonly path: string; readonly changes: boolean },
  schema: BodySchema<T>,
  work: (api: AdminApi, body: T, parameter: string, asked: Asked) => object | Promise<object>,
): Route {
  return {
    ...route,
    kind: 'json',
    work: (api, parameter, body, asked) => work(api, checkBody(schema, body), parameter, asked),
  };
}

const post = (path: string, changes: boolean) => ({ method: 'POST', path, changes }) as const;
const put = (path: string) => ({ method: 'PUT', path, changes: true }) as const;
const remove = (path: string) => ({ method: 'DELETE', path, changes: true }) as const;

export const ROUTES: readonly Route[] = [
  reads(PATHS.status, api => api.status()),
  reads(PATHS.diagnostics, api => api.diagnostics()),
  takes(post(PATHS.diagnostics, false), emptyBody, api => api.diagnostics({ collect: true })),
  reads(PATHS.peers, api => api.peers()),
  takes(remove(PATHS.peer), emptyBody, (api, _, node) => api.removePeer(checkNode(node))),
  takes(post(PATHS.ping, false), pingBody, (api, body, node, asked) => api.ping(checkNode(node), body, asked)),
  takes(put(PATHS.role), roleBody, (api, body, node) => api.setRole(checkNode(node), body)),
  takes(post(PATHS.invites, true), inviteBody, (api, body) => api.invite(body)),
  takes(post(PATHS.join, true), joinBody, (api, body, _, asked) => api.join(body, asked)),
  reads(PATHS.services, api => api.services()),
  takes(put(PATHS.service), exposeBody, (api, body, name) => api.expose(checkService(name), body)),
  takes(remove(PATHS.service), emptyBody, (api, _, name) => api.unexpose(checkService(name))),
  reads(PATHS.tunnels, api => api.tunnels()),
  takes(post(PATHS.tunnels, true), connectBody, (api, body) => {
    checkService(body.service);
    return api.connect(body);
  }),
  takes(remove(PATHS.tunnel), emptyBody, (api, _, service) => api.disconnect(checkService(service))),
  { kind: 'stream', method: 'GET', path: PATHS.stream, changes: false, work: never },
  takes({ method: 'GET', path: PATHS.streamEnd, changes: false }, emptyBody, (api, _, id) =>
    api.streamEnd(checkId(id)),
  ),
  { kind: 'logs', method: 'GET', path: PATHS.logs, changes: false, work: never },
  reads(PATHS.keys, api => api.keys()),
  reads(PATHS.keyLog, api => api.keyLog()),
  takes(post(PATHS.keysRotate, true), rotateBody, (api, body) => api.rotateKeys(body)),
  takes(post(PATHS.keysDetach, true), detachBody, (api, body) => api.detachNext(body)),
  takes(put(PATHS.revocation), emptyBody, (api, _, node) => api.revoke(checkNode(node))),
  takes(put(PATHS.settlement), settleBody, (api, body, node) => api.settle(checkNode(node), body)),
  takes(post(PATHS.backup, false), backupBody, (api, body) => api.backup(body)),
  reads(PATHS.doctor, api => api.doctor()),
  takes(post(PATHS.reload, true), emptyBody, api => api.reload()),
  takes(post(PATHS.shutdown, false), shutdownBody, (api, body) => api.shutdown(body)),
];

export interface Found {
  readonly route: Route;
  readonly parameter: string;
}

/** Longest node name or service name in a path, percent-encoded. */
const MAX_PARAMETER = 512;

/** @returns finds the route of a request; what other methods a path has is asked by the same function */
export function routeFinder(routes: readonly Route[] = ROUTES): (method: string, path: string) => Found | undefined {
  const router = Router({ maxParamLength: MAX_PARAMETER });
  for (const route of routes) router.on(route.method, route.path, () => undefined, route);
  return (method, path) => {
    const match = METHODS.includes(method as Method) ? router.find(method as Method, path) : null;
    if (match === null || match.store === undefined) return undefined;
    const [parameter = ''] = Object.values(match.params);
    return { route: match.store as Route, parameter };
  };
}
