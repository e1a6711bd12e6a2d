import { editText, removeService, removeTunnel, setNode, setService, setTunnel } from '../../../daemon/config/edit.js';
import { parseConfig } from '../../../daemon/config/load.js';
import type { Config } from '../../../daemon/config/types.js';
import { WarrenError } from '../../../protocol/errors.js';
import { pick, seededRandom } from '../../helpers/random.js';
import { assert, full, suite } from '../../helpers/suite.js';
import { mutateText } from '../mutate.js';

const test = suite('fuzz: config');

const SEEDS = [
  'node:\n  name: host-a\n  listen: [0.0.0.0:7667]\n  mdns: true\n  relay: false\n',
  'services:\n  # money\n  payments: { target: 127.0.0.1:8080, version: 2.1.0, tags: [core], allow: [tag:gw, b] } # x\n  web:\n    target: "80"\n    deny:\n    - a\n',
  'tunnels:\n  risk: { listen: 127.0.0.1:9001 }\n  b:\npeers: [10.0.0.2:7667]\nlimits: { streamBytes: 8 MiB }\n',
  'services: &s\n  a: &a { target: 1 }\n  b: *a\n',
];

const WORDS = [
  ...[
    'node',
    'services',
    'tunnels',
    'peers',
    'limits',
    'name',
    'listen',
    'target',
    'tags',
    'allow',
    'deny',
    'mdns',
    'suite',
  ],
  ...[
    ': ',
    ':',
    '\n',
    '\n  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    ', ',
    '#',
    ' #',
    '"',
    "'",
    '&a ',
    '*a',
    '!!str ',
    '!x ',
    '|\n',
    '>-\n',
    '? ',
    '---\n',
  ],
  ...[
    '...',
    '<<: ',
    '~',
    'null',
    'true',
    '.nan',
    '-.inf',
    '0x10',
    '1e999',
    '99999999999999999999',
    '__proto__',
    'constructor',
    '\t',
    '\r\n',
    '\ufeff',
  ],
  ...['unix:/x', '127.0.0.1:0', 'tag:x', '64 KiB', '%YAML 1.1\n', '\0', '\u202e', '💥'],
];

/** What an accepted config promises to the rest of the daemon. */
function checkPromises(config: Config): void {
  assert.ok(Array.isArray(config.node.listen) && config.node.listen.every(entry => typeof entry === 'string'));
  assert.type(config.node.mdns, 'boolean');
  for (const [name, service] of config.services) {
    assert.match(name, /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);
    assert.type(service.target, 'string');
    for (const list of [service.tags, service.allow, service.deny])
      assert.ok(list.every(entry => typeof entry === 'string'));
  }
  for (const { listen } of config.tunnels.values()) assert.ok(listen.length > 0);
  for (const limit of Object.values(config.limits)) assert.ok(Number.isInteger(limit));
}

function parsed(text: string): Config | undefined {
  try {
    const { config } = parseConfig(text, 'config.yaml');
    checkPromises(config);
    return config;
  } catch (error) {
    assert.instance(error, WarrenError, `${String((error as Error).stack)} on ${JSON.stringify(text)}`);
    assert.is((error as WarrenError).code, 'config');
    assert.ok((error as WarrenError).hint, JSON.stringify(text));
    return undefined;
  }
}

test(
  'a mutated config is accepted whole or refused with code, sentence and hint',
  () => {
    const random = seededRandom('config');
    let accepted = 0;
    for (let i = 0; i < full(2000, 100_000); i++) {
      const seed = SEEDS[pick(random, SEEDS.length)]!;
      if (parsed(mutateText(random, seed, WORDS)) !== undefined) accepted++;
    }
    assert.ok(accepted > 0, 'some are accepted');
  },
  { deadline: 600_000 },
);

test(
  'an edit of any accepted config makes that change and no other',
  () => {
    const random = seededRandom('config edits');
    for (let i = 0; i < full(600, 20_000); i++) {
      const text = mutateText(random, SEEDS[pick(random, SEEDS.length)]!, WORDS);
      const before = parsed(text);
      if (before === undefined) continue;
      let after: string;
      try {
        after = editText(
          text,
          [setService('zz', { target: '1' }), setTunnel('zz', ['2']), ...setNode({ name: 'zz' })],
          'c',
        );
      } catch (error) {
        assert.instance(error, WarrenError, `${String((error as Error).stack)} on ${JSON.stringify(text)}`);
        continue;
      }
      const config = parseConfig(after, 'c').config;
      assert.is(config.node.name, 'zz', JSON.stringify(text));
      assert.equal([...config.services.keys()], [...new Set([...before.services.keys(), 'zz'])], JSON.stringify(text));
      const undone = parseConfig(editText(after, [removeService('zz'), removeTunnel('zz')], 'c'), 'c').config;
      const expected = new Map([...before.services].filter(([name]) => name !== 'zz'));
      assert.equal(undone.services, expected, JSON.stringify(text));
      assert.equal(undone.peers, before.peers);
    }
  },
  { deadline: 600_000 },
);

test.run();
