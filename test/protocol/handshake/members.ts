/** Members of real networks that meet over an in-memory link: handshake, then admission, frame by frame. */
import type { Code } from '../../../protocol/codes.js';
import {
  Admission,
  type AdmissionOptions,
  type AdmissionResult,
  type Joiner,
  type Minted,
} from '../../../protocol/handshake/admission.js';
import type { Secret } from '../../../protocol/handshake/admission-frames.js';
import type { Established, PskKeys } from '../../../protocol/handshake/types.js';
import {
  TrustStore,
  createRotation,
  decodeStatement,
  foundNetwork,
  issueGrant,
  issueRecord,
  issueRole,
  type GrantOptions,
  type NewKeys,
  type NodeId,
  type TrustItem,
} from '../../../protocol/identity/index.js';
import { createInception } from '../../../protocol/identity/statement.js';
import { ReplayGuard } from '../../../protocol/handshake/replay.js';
import { FRAME } from '../../../protocol/link/frame.js';
import { VirtualTime } from '../../helpers/virtual-time.js';
import { keysOf, real, shake, withRandom, type Dial, type TestContext, type TestNode } from './nodes.js';

export interface TestMember extends TestNode {
  store: TrustStore;
  keys: NewKeys;
  statements: Uint8Array[];
  secrets: Secret[];
  readonly learnt: Secret[];
  mint?: (joiner: Joiner, inviteId: string) => Minted;
  renew?: (peer: NodeId) => Uint8Array | undefined;
}

let made = 0;

function member(label: string, clock: VirtualTime, networkId: NodeId | undefined, fixed?: NewKeys): TestMember {
  // The same label gives the same keys; everything else is fresh.
  const keys = fixed ?? createInception(withRandom(label), { now: clock.now() });
  const primitives = withRandom(`${label} ${made++}`);
  const network = networkId ?? keys.nodeId;
  const store = new TrustStore({ primitives, clock, networkId: network });
  const ctx: TestContext = {
    primitives,
    clock,
    own: { nodeId: keys.nodeId, network, noise: keys.noise, statement: keys.statement },
    digestNow: new Uint8Array(32),
    identity: () => ctx.own,
    digest: () => node.store.digest(),
    log: event => void ctx.events.push(event),
    events: [],
  };
  const node: TestMember = {
    keys,
    ctx,
    replay: new ReplayGuard(clock),
    store,
    statements: [keys.statement],
    secrets: [],
    learnt: [],
  };
  store.add({ kind: 'statement', bytes: keys.statement });
  return node;
}

/** A founder: admin of a network of one. */
export function founder(label: string, clock = new VirtualTime()): TestMember {
  const founded = foundNetwork(withRandom(label), { now: clock.now(), name: label });
  const node = member(label, clock, undefined, founded.keys);
  node.store.addAll(founded.items);
  node.secrets = [{ epoch: 0, secret: founded.networkSecret }];
  return node;
}

/** A node that knows nothing but itself and, from an invite, the network's ID. */
export function newcomer(label: string, of: TestMember): TestMember {
  return member(label, of.ctx.clock, of.store.networkId);
}

export function pen(node: TestMember) {
  const { nodeId, seq, signing } = node.keys;
  return {
    primitives: node.ctx.primitives,
    signer: { node: nodeId, seq, seed: signing.privateKey },
    now: node.ctx.clock.now(),
  };
}

/** What an admin does when it admits a node, without any handshake; `node` then knows what the admin knows. */
export function admit(admin: TestMember, node: TestMember, options: Omit<GrantOptions, 'node'>): TrustItem {
  admin.store.addAll(statementsOf(node));
  const grant = issueGrant(admin.store, pen(admin), { ...options, node: node.keys.nodeId });
  admin.store.add(grant);
  node.secrets = [...admin.secrets];
  copy(admin, node);
  return grant;
}

export function statementsOf(node: TestMember): TrustItem[] {
  return node.statements.map(bytes => ({ kind: 'statement', bytes }));
}

export function copy(from: TestMember, to: TestMember): void {
  to.store.addAll(from.store.items());
}

export function promote(admin: TestMember, node: TestMember): TrustItem {
  const role = issueRole(admin.store, pen(admin), node.keys.nodeId, 'promote');
  admin.store.add(role);
  return role;
}

/** Rotates the node's keys; its own store knows at once. */
export function rotate(node: TestMember, reason: 'routine' | 'compromised' = 'routine'): void {
  const head = decodeStatement(real, node.statements.at(-1)!);
  const { next, signing } = node.keys;
  const now = node.ctx.clock.now();
  const old = reason === 'routine' ? signing.privateKey : undefined;
  node.keys = createRotation(node.ctx.primitives, { head, reason, next, old, now });
  node.statements.push(node.keys.statement);
  node.ctx.own = { ...node.ctx.own, noise: node.keys.noise, statement: node.keys.statement };
  node.store.add({ kind: 'statement', bytes: node.keys.statement });
}

export function publish(
  node: TestMember,
  version: number,
  addresses: readonly string[] = ['127.0.0.1:7667'],
): TrustItem {
  const record = issueRecord(node.store.networkId, pen(node), { version, addresses, services: [] });
  node.store.add(record);
  return record;
}

export function pskOf(node: TestMember): PskKeys {
  return keysOf(node.secrets[0]!.secret);
}

/** One end of a link in admission. */
export class End {
  readonly sent: { readonly type: number; readonly body: Uint8Array }[] = [];
  readonly log: string[] = [];
  admission!: Admission;
  result: AdmissionResult | undefined;
  refusal: { readonly code: Code; readonly sentence: string } | undefined;
  /** What came after the session had taken the link over. */
  readonly session: number[] = [];

  constructor(
    readonly node: TestMember,
    readonly established: Established,
    more: Partial<AdmissionOptions> = {},
  ) {
    this.admission = new Admission({
      established,
      context: node.ctx,
      trust: node.store,
      send: (type, body) => void this.sent.push({ type, body: body.slice() }),
      onAdmitted: result => (this.result = result),
      onRefused: (code, sentence) => (this.refusal = { code, sentence }),
      secrets: () => node.secrets,
      onSecret: (epoch, secret) => {
        node.learnt.push({ epoch, secret });
        if (!node.secrets.some(s => s.epoch === epoch)) node.secrets.unshift({ epoch, secret });
      },
      ...(node.mint && { mint: node.mint }),
      ...(node.renew && { renew: node.renew }),
      ...more,
    });
  }

  frame(type: number, body: Uint8Array): void {
    this.log.push(NAMES.get(type) ?? `0x${type.toString(16)}`);
    if (this.result?.standing === 'admitted' && !this.refusal) this.session.push(type);
    else this.admission.frame(type, body);
  }

  get outcome(): string {
    return this.refusal
      ? `${this.result?.standing ?? 'refused'}: ${this.refusal.code}`
      : (this.result?.standing ?? 'open');
  }
}

const NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, n]) => [n, name]));

export interface Meeting {
  readonly dialer: End;
  readonly acceptor: End;
}

/** Moves frames both ways until nobody has any, or one side has refused. */
export function run({ dialer, acceptor }: Meeting): Meeting {
  for (let turns = 0; dialer.sent.length + acceptor.sent.length > 0; turns++) {
    if (turns > 100_000) throw new Error('the two never come to an end');
    for (const [from, to] of [
      [dialer, acceptor],
      [acceptor, dialer],
    ] as const) {
      // prettier-ignore
      const next = from.sent.shift();
      if (next && !to.refusal) to.frame(next.type, next.body);
    }
  }
  return { dialer, acceptor };
}

export function connect(a: TestMember, b: TestMember, dial: Dial = {}): Meeting {
  const { dialed, accepted } = shake(a, b, dial.psk ? dial : { psk: pskOf(a), psks: [pskOf(b)], ...dial });
  return { dialer: new End(a, dialed), acceptor: new End(b, accepted) };
}

/** Handshake and admission, to the end. */
export function meet(a: TestMember, b: TestMember, dial: Dial = {}): Meeting {
  const meeting = connect(a, b, dial);
  meeting.dialer.admission.start();
  meeting.acceptor.admission.start();
  return run(meeting);
}

export function equalStores(a: TestMember, b: TestMember): boolean {
  return Buffer.from(a.store.digest()).equals(Buffer.from(b.store.digest()));
}
