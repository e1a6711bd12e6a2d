/** What instances are balanced by: the streams that are open to each. */
import { PeerMesh, type MeshOptions } from '../../../daemon/peers/mesh.js';
import type { OpenRequest, StreamHandler } from '../../../daemon/services/index.js';
import { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('streams counted by instance');

const NODE = new Uint8Array(32).fill(7);
const WEB: OpenRequest = { service: 'Web', class: 'interactive' };

interface Scene {
  readonly mesh: PeerMesh;
  /** what the session was given for each stream */
  readonly given: StreamHandler[];
  /** what the user of all streams has heard */
  readonly heard: string[];
  /** the session refuses to open streams */
  isFull: boolean;
}

/** One other node that exposes `web`. */
function scene(): Scene {
  const given: StreamHandler[] = [];
  const session = {
    open(_request: OpenRequest, handler: StreamHandler) {
      if (made.isFull) throw new WarrenError('limit', 'too many');
      given.push(handler);
      return {};
    },
  };
  const trust = { version: 1, members: () => [{ node: NODE }], record: () => ({ services: [{ name: 'web' }] }) };
  const options = {
    network: { nodeId: new Uint8Array(32), name: 'here', tags: [], trust, nameOf: () => 'there' },
    peers: { get: () => ({ takesStreams: true, slot: { session } }) },
    exposesHere: () => false,
    openHere: () => 0,
  } as unknown as MeshOptions;
  const made: Scene = { mesh: new PeerMesh(options), given, heard: [], isFull: false };
  return made;
}

function handler(heard: string[]): StreamHandler {
  return {
    opened: () => void heard.push('opened'),
    data: chunk => void heard.push(`data ${chunk.length}`),
    fin: () => void heard.push('fin'),
    reset: (code, dialed) => void heard.push(`reset ${code} ${dialed}`),
    drain: () => void heard.push('drain'),
  };
}

const open = ({ mesh }: Scene): number | undefined => mesh.instances('WEB')[0]?.openStreams;

test('a stream counts from its opening to its end, once, whichever end that is', () => {
  const made = scene();
  for (let i = 0; i < 3; i++) made.mesh.open(NODE, WEB, handler(made.heard));
  assert.is(open(made), 3);
  const [first, second, third] = made.given;
  first!.closed!();
  assert.is(open(made), 2);
  second!.reset('denied', false);
  second!.closed!();
  assert.is(open(made), 1);
  third!.closed!();
  assert.is(open(made), 0);
  made.mesh.open(NODE, WEB, handler(made.heard));
  assert.is(open(made), 1);
});

test('its user hears all of it, and does not count any more when it hears of a reset', () => {
  const made = scene();
  let countedThen: number | undefined;
  const user = handler(made.heard);
  made.mesh.open(NODE, WEB, { ...user, reset: () => void (countedThen = open(made)) });
  const [stream] = made.given;
  stream!.opened!();
  stream!.data(new Uint8Array(3));
  stream!.drain!();
  stream!.fin();
  stream!.reset('no-service', false);
  assert.equal(made.heard, ['opened', 'data 3', 'drain', 'fin']);
  assert.is(countedThen, 0);
});

test('a stream that could not be opened does not count', () => {
  const made = scene();
  made.isFull = true;
  assert.throws(() => made.mesh.open(NODE, WEB, handler(made.heard)), /too many/);
  made.isFull = false;
  made.mesh.open(NODE, WEB, handler(made.heard));
  assert.is(open(made), 1);
});

test.run();
