/** What one daemon spends on those who dial it: members that it has never seen, members that it knows, and strangers. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { dial } from '../../../daemon/transport/dial.js';
import { NodeTimers } from '../../../daemon/transport/timers.js';
import { loadKeys } from '../../../daemon/home/keyfile.js';
import { homePaths } from '../../../daemon/home/paths.js';
import { StateFiles } from '../../../daemon/home/statefile.js';
import type { Log } from '../../../daemon/observe/log.js';
import { loadPrimitives } from '../../../protocol/crypto/load.js';
import type { Primitives } from '../../../protocol/crypto/primitives.js';
import { pskKeys } from '../../../protocol/handshake/preface.js';
import { MAGIC, MESSAGE_1_BYTES, PREFACE_BYTES } from '../../../protocol/handshake/wire.js';
import type { HandshakeContext, LocalIdentity, PskKeys } from '../../../protocol/handshake/types.js';
import { signClaim } from '../../../protocol/identity/claim.js';
import { GRANT, createInception, type NodeId } from '../../../protocol/identity/index.js';
import { pool } from '../../helpers/traffic.js';
import type { BenchHost } from '../ground.js';
import { cpuSeconds } from '../measure.js';
import { configure } from '../peers/warren.js';
import type { Fact, Own } from './workload.js';

const AT_ONCE = 8;
/** So many come first: what is measured is a daemon that runs, not one whose code is being compiled. */
const WARM_UP = 200;
const STRANGERS_PER_HANDSHAKE = 5;
const STRANGER_PATIENCE_MS = 200;
const GRANT_MS = 3_600_000;
const DIGEST_BYTES = 32;
const nothing = (): void => undefined;
const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silent };

interface Network {
  readonly id: NodeId;
  readonly psk: PskKeys;
  /** A member that nobody has heard of yet, with a grant by the founder. */
  member(name: string): LocalIdentity;
}

/** Reads the founder's home: who holds its key can admit members without asking it. */
function networkOf(primitives: Primitives, founder: BenchHost): Network {
  const paths = homePaths(founder.home);
  const keys = loadKeys(paths.nodeKeys);
  const state = new StateFiles(paths).loadNetwork();
  const secret = state?.secrets[0]?.secret;
  if (keys === undefined || state === undefined || secret === undefined) throw new Error('the home holds no network');
  const signer = { node: keys.nodeId, seq: 0, seed: keys.signingSeed };
  return {
    id: state.networkId,
    psk: pskKeys(primitives, { secret, kind: 'network' }),
    member(name) {
      const now = Date.now();
      const { nodeId, noise, statement } = createInception(primitives, { now });
      const content = { node: nodeId, name, tags: [], since: now, expires: now + GRANT_MS, generation: 0 };
      const grant = signClaim(primitives.ed25519, GRANT, signer, { network: state.networkId, time: now }, content);
      return { nodeId, network: state.networkId, noise, statement, grant };
    },
  };
}

/** Dials as that member and goes as soon as the handshake is done. */
async function shake(
  primitives: Primitives,
  network: Network,
  identity: LocalIdentity,
  address: string,
): Promise<void> {
  const context: HandshakeContext = {
    primitives,
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    identity: () => identity,
    digest: () => new Uint8Array(DIGEST_BYTES),
    log: nothing,
  };
  const link = await dial({
    address,
    context,
    psk: network.psk,
    suite: 'AESGCM',
    timers: new NodeTimers(),
    log: silent,
  });
  link.transport.close();
}

/** The most that a stranger can make a daemon do: an opening that looks right up to its proof. */
function knock(port: number): Promise<void> {
  return new Promise(resolve => {
    const socket = net.connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' });
    const timer = setTimeout(() => socket.destroy(), STRANGER_PATIENCE_MS);
    const opening = randomBytes(PREFACE_BYTES + MESSAGE_1_BYTES);
    opening.set([...MAGIC, 1, 1]);
    socket.once('connect', () => socket.write(opening));
    socket.on('data', nothing);
    socket.once('error', nothing);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export const handshakes: Own = {
  kind: 'own',
  name: 'handshakes',
  title: 'What one daemon spends on those who dial it',
  async run(ground, _services, { handshakes: count }) {
    const primitives = await loadPrimitives();
    const host = ground.host('host-a');
    configure(host, { listen: ['127.0.0.1:0'] });
    const address = (await host.up()).listen[0]!;
    const pids = [await host.pid()];
    const network = networkOf(primitives, host);
    const membersOf = (many: number, name: string): LocalIdentity[] =>
      Array.from({ length: many }, (_, i) => network.member(`${name}-${i}`));
    const dialAll = async (members: readonly LocalIdentity[]): Promise<number> => {
      const before = cpuSeconds(pids);
      await pool(members.length, AT_ONCE, i => shake(primitives, network, members[i]!, address));
      return cpuSeconds(pids) - before;
    };
    await dialAll(membersOf(Math.min(WARM_UP, count), 'early'));
    const members = membersOf(count, 'member');
    const [unseen, known] = [await dialAll(members), await dialAll(members)];
    const openings = count * STRANGERS_PER_HANDSHAKE;
    const port = Number(address.split(':').pop());
    await pool(Math.min(WARM_UP, count) * STRANGERS_PER_HANDSHAKE, AT_ONCE, () => knock(port));
    const before = cpuSeconds(pids);
    await pool(openings, AT_ONCE, () => knock(port));
    const strangers = cpuSeconds(pids) - before;
    await host.ok(['down']);
    const rate = { unit: 'per second of CPU', digits: 0 } as const;
    const facts: Fact[] = [
      {
        title: 'handshakes with members never seen before',
        values: [count / unseen],
        ...rate,
        bound: { better: 'more', value: 150 },
      },
      { title: 'handshakes with members whose statements are known', values: [count / known], ...rate },
      {
        title: "a stranger's opening: CPU",
        values: [(strangers / openings) * 1000],
        unit: 'ms',
        digits: 3,
        bound: { better: 'less', value: 0.2 },
      },
    ];
    return facts;
  },
};
