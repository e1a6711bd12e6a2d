/** Replies of a daemon in the contract's shape. */
import type {
  ConnectReply,
  DoctorReply,
  Done,
  ExposeReply,
  InviteReply,
  JoinReply,
  KeyLogReply,
  KeysReply,
  PeerInfo,
  PeersReply,
  PingReply,
  ReloadReply,
  ServicesReply,
  Status,
  TunnelsReply,
} from '../../protocol/admin/contract.js';

export const peerB: PeerInfo = {
  name: 'host-b',
  id: 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',
  state: 'connected',
  seq: 0,
  admin: false,
  tags: ['core'],
  grantExpires: '2099-01-01T00:00:00.000Z',
  links: [
    {
      transport: 'tcp',
      address: '192.0.2.7:7667',
      via: null,
      direction: 'dialed',
      rttMs: 0.42,
      suite: 'AESGCM',
      since: '2026-01-01T00:00:00.000Z',
      bytesSent: 1000,
      bytesReceived: 2000,
      rekeys: 0,
    },
  ],
  linksUp: 4,
  rekeys: 2,
  streams: 3,
  lastSeen: '2026-01-01T00:00:00.000Z',
  problem: null,
  addresses: ['192.0.2.7:7667'],
};

export const peerC: PeerInfo = {
  ...peerB,
  name: 'host-c',
  id: 'cccccccccccccccccccccccccccccccccccccccccccc',
  state: 'down',
  links: [],
  streams: 0,
  problem: 'connection refused',
};

const peerD: PeerInfo = {
  ...peerB,
  name: 'host-d',
  id: 'dddddddddddddddddddddddddddddddddddddddddddd',
  links: [{ ...peerB.links[0]!, transport: 'relay', address: `relay:${peerB.id}`, via: 'host-b', rttMs: 31 }],
};

const exposed = {
  name: 'payments',
  target: '127.0.0.1:8080',
  version: '2.1.0',
  description: 'Payment processing',
  tags: ['core'],
  allow: ['tag:gateway'],
  deny: [],
  openStreams: 1,
  totalStreams: 12,
  deniedStreams: 2,
  failedStreams: 0,
};

const tunnel = {
  service: 'redis',
  listen: '127.0.0.1:6380',
  state: 'listening' as const,
  instances: 2,
  openStreams: 1,
  totalStreams: 9,
  denied: 0,
  failed: 0,
  bytesSent: 1536,
  bytesReceived: 4096,
  problem: null,
};

export const status: Status = {
  apiVersion: 1,
  version: '0.1.0',
  pid: 4242,
  home: '/home/a',
  since: '2026-01-01T00:00:00.000Z',
  state: 'ready',
  network: { id: 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn', members: 3 },
  node: {
    id: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    name: 'host-a',
    seq: 0,
    admin: true,
    tags: [],
    grantExpires: null,
  },
  listen: ['127.0.0.1:7667'],
  advertise: [],
  mdns: false,
  proxy: null,
  peers: [peerB, peerC, peerD],
  services: [exposed],
  tunnels: [tunnel],
  relay: { on: true, links: 2 },
  warnings: ['the clock of host-c is an hour ahead'],
};

const peers: PeersReply = { apiVersion: 1, peers: [peerB, peerC] };
const tunnels: TunnelsReply = { apiVersion: 1, tunnels: [tunnel] };
const services: ServicesReply = {
  apiVersion: 1,
  services: [
    { name: 'payments', local: exposed, instances: [], tunnels: [] },
    {
      name: 'redis',
      local: null,
      instances: [
        {
          node: 'host-b',
          nodeId: peerB.id,
          version: '7',
          description: 'a \u001b[31mred\u001b[0m cache\u202e!',
          tags: [],
          reachable: true,
        },
        { node: 'host-c', nodeId: peerC.id, version: '7', description: null, tags: [], reachable: false },
      ],
      tunnels: ['127.0.0.1:6380'],
    },
  ],
};
export const invite: InviteReply = {
  apiVersion: 1,
  token: 'warren1qqqqqqqqqqqqqqqqqqqq',
  expires: '2099-01-01T00:00:00.000Z',
  addresses: ['192.0.2.1:7667'],
  tags: [],
};
export const join: JoinReply = { apiVersion: 1, networkId: 'nnnn', name: 'host-b', inviter: 'host-a' };
const connect: ConnectReply = { apiVersion: 1, service: 'redis', listen: '127.0.0.1:6380' };
const expose: ExposeReply = { apiVersion: 1, service: exposed };
const ping: PingReply = {
  apiVersion: 1,
  node: 'host-b',
  nodeId: peerB.id,
  transport: 'tcp',
  rttMs: [0.4, null, 0.6, 0.5],
};
const keys: KeysReply = {
  apiVersion: 1,
  node: { id: 'aaaa', name: 'host-a', fingerprint: 'ab cd ef', words: 'abandon ability able' },
  network: { id: 'nnnn' },
  seq: 0,
  hash: 'hhhhhhhhhhhhhhhhhhhh',
  since: '2026-01-01T00:00:00.000Z',
  grantExpires: null,
  nextKey: 'in the home: it protects nothing there',
  nextKeyFile: null,
};
const keyLog: KeyLogReply = {
  apiVersion: 1,
  statements: [
    {
      seq: 0,
      hash: 'hhhh',
      time: '2026-01-01T00:00:00.000Z',
      reason: 'inception',
      signingKey: 'ssss',
      noiseStatic: 'xxxx',
      nextKeyHash: 'yyyy',
    },
  ],
};
export const doctor: DoctorReply = {
  apiVersion: 1,
  checks: [
    { name: 'clock', state: 'ok', message: 'within a second of all peers' },
    { name: 'ports', state: 'problem', message: 'port 7667 is taken', hint: 'choose another: --listen' },
  ],
};
const reload: ReloadReply = { apiVersion: 1, changes: ['service payments added'], restartNeeded: ['node.name'] };
const done: Done = { apiVersion: 1, done: true };

/** By request line. */
export const replies: Readonly<Record<string, object>> = {
  'GET /v1/status': status,
  'GET /v1/peers': peers,
  'DELETE /v1/peers/host-b': done,
  'POST /v1/peers/host-b/ping': ping,
  'POST /v1/invites': invite,
  'POST /v1/join': join,
  'GET /v1/services': services,
  'PUT /v1/services/payments': expose,
  'DELETE /v1/services/payments': done,
  'GET /v1/tunnels': tunnels,
  'POST /v1/tunnels': connect,
  'DELETE /v1/tunnels/redis': done,
  'GET /v1/keys': keys,
  'GET /v1/keys/log': keyLog,
  'GET /v1/doctor': doctor,
  'POST /v1/reload': reload,
};
