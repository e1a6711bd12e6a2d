/** The worked example of docs/protocol.md is what the code does, and the receiving side of the code takes it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromUtf8 } from '../../protocol/bytes.js';
import { Admission } from '../../protocol/handshake/admission.js';
import { DEFAULT_LIMITS } from '../../protocol/limits.js';
import { Link } from '../../protocol/link/link.js';
import { RecordSealer } from '../../protocol/link/record.js';
import { ProcessBudget, SessionSlot, type OpenRequest, type StreamHandler } from '../../protocol/session/index.js';
import { packageRoot } from '../helpers/root.js';
import { assert, suite } from '../helpers/suite.js';
import { exampleRecords, workedExample, type WorkedExample } from './worked-example.js';

const inner = suite('docs/protocol.md: the worked example');
const test = (name: string, body: () => void | Promise<void>): void => inner(name, body, { deadline: 10_000 });

const compact = (text: string): string => text.replace(/\s+/g, '');

/** `name = value` lines; a value may go on in lines that begin with a blank. */
function documented(): Map<string, string> {
  const text = readFileSync(join(packageRoot(), 'docs', 'protocol.md'), 'utf8');
  const block = /^```worked-example\n(.*?)^```$/ms.exec(text)?.[1] ?? '';
  const values = new Map<string, string>();
  for (const [, name, value] of block.matchAll(/^(\S[^=]*?) =(.*(?:\n[ \t]+.*)*)$/gm)) {
    if (values.has(name!)) throw new Error(`the document shows "${name}" twice`);
    values.set(name!, compact(value!));
  }
  return values;
}

let example: WorkedExample;
inner.before(async () => {
  example = await workedExample();
});

test('shows every value, and no other', () => {
  const shown = documented();
  for (const [name, value] of example.values) {
    assert.is(shown.get(name), compact(value), `docs/protocol.md must show: ${name} = ${value}`);
  }
  assert.equal([...shown.keys()].sort(), [...example.values.keys()].sort());
});

test('its records open a stream at a real session', () => {
  const { primitives, clock, members, first } = example;
  const seen: string[] = [];
  const handler: StreamHandler = {
    data: chunk => void seen.push(fromUtf8(chunk)),
    fin: () => void seen.push('fin'),
    reset: code => void seen.push(`reset ${code}`),
  };
  const slot = new SessionSlot({
    local: members.founder.nodeId,
    peer: members.member.nodeId,
    primitives: { ...primitives, random: n => new Uint8Array(n) },
    timers: clock,
    limits: DEFAULT_LIMITS,
    budget: new ProcessBudget(DEFAULT_LIMITS),
    onStream: (_stream, request: OpenRequest) => {
      seen.push(request.service, request.class, [...(request.metadata ?? [])].join(' '));
      return handler;
    },
    onNews: () => undefined,
    onUp: () => void seen.push('up'),
    onHeld: () => void seen.push('held'),
    onDown: code => void seen.push(`down ${code}`),
    onAlarm: sentence => void seen.push(sentence),
  });
  const link = acceptorLink(example, slot, seen);
  const sealer = new RecordSealer(primitives.aead.ChaChaPoly, first.dialed.sendKey, DEFAULT_LIMITS.record);
  for (const plaintext of exampleRecords().toAcceptor) {
    for (const chunk of sealer.seal([plaintext])) link.receive(chunk);
    clock.settle();
  }
  assert.equal(seen, ['up', 'web', 'interactive', 'source,127.0.0.1:50000', 'hello']);
  slot.close('going-away');
});

/** The founder's end of the link, with admission on top; what it sends goes nowhere. */
function acceptorLink({ primitives, clock, members, first }: WorkedExample, slot: SessionSlot, seen: string[]): Link {
  const link = new Link({
    established: first.accepted,
    port: { write: () => undefined, buffered: 0, close: () => undefined, abort: () => undefined },
    timers: clock,
    primitives: { ...primitives, random: n => new Uint8Array(n) },
    limits: DEFAULT_LIMITS,
    onClosed: (code, sentence) => void (code === 'going-away' || seen.push(`closed ${code}: ${sentence}`)),
  });
  const { nodeId, noise, statement } = members.founder;
  const admission = new Admission({
    established: first.accepted,
    context: {
      primitives,
      identity: () => ({ nodeId, network: nodeId, noise, statement }),
      log: ({ sentence }) => void seen.push(sentence),
    },
    trust: members.store,
    send: (type, body) => link.send(type, body),
    onAdmitted: () => slot.linkAdmitted(link),
    onRefused: (code, sentence) => void seen.push(`refused ${code}: ${sentence}`),
    secrets: () => [{ epoch: 0, secret: members.secret }],
    onSecret: () => undefined,
  });
  link.setHandler(admission);
  admission.start();
  clock.settle();
  return link;
}

inner.run();
