import * as fs from 'node:fs';
import { join } from 'node:path';
import {
  ConfigFile,
  NEW_CONFIG,
  editText,
  removeService,
  removeTunnel,
  setNode,
  setService,
  setTunnel,
  type Edit,
} from '../../../daemon/config/edit.js';
import { parseConfig } from '../../../daemon/config/load.js';
import { nodeFileOps } from '../../../daemon/home/atomic.js';
import type { WarrenError } from '../../../protocol/errors.js';
import { assert, suite } from '../../helpers/suite.js';
import { modeOf, withFolder } from '../home/temp.js';

const test = suite('edits of the config file');

const WRITTEN = `# head of the file

node:            # the same nouns
    name: host-a
    listen: [0.0.0.0:7667]   # the usual port
    relay: false

# what we offer
services:
    # money
    payments: { target: 127.0.0.1:8080, version: 2.1.0, tags: [core] } # do not touch
    # the rest
    other:
        target: "8080"   # quoted

        tags:
        - a   # first
        - b
# what we use
tunnels:
    risk: { listen: 127.0.0.1:9001 }
# the end
`;

const edited = (text: string, ...edits: Edit[]): string => editText(text, edits, 'config.yaml');

/** Lines of `after` that are not in `before`, and the other way round. */
function differing(before: string, after: string): { readonly gone: string[]; readonly fresh: string[] } {
  const [a, b] = [before.split('\n'), after.split('\n')];
  return { gone: a.filter(line => !b.includes(line)), fresh: b.filter(line => !a.includes(line)) };
}

test('a new service is one new line; every other byte stays', () => {
  const after = edited(WRITTEN, setService('web', { target: '8000', tags: ['x', 'true'], description: 'It is: [so]' }));
  assert.equal(differing(WRITTEN, after), {
    gone: [],
    fresh: ['    web: { target: 8000, description: "It is: [so]", tags: [x, "true"] }'],
  });
  assert.is(after.indexOf('web:') < after.indexOf('# what we use'), true);
  assert.is(after.length, WRITTEN.length + differing(WRITTEN, after).fresh[0]!.length + 1);
});

test('a removed service takes its lines and its comment along, whatever its case', () => {
  const after = edited(WRITTEN, removeService('OTHER'));
  const { gone, fresh } = differing(WRITTEN, after);
  assert.equal(fresh, []);
  assert.equal(gone, [
    '    # the rest',
    '    other:',
    '        target: "8080"   # quoted',
    '        tags:',
    '        - a   # first',
    '        - b',
  ]);
});

test('the first entry goes without the comment above it, which may be about all of them', () => {
  const after = edited(WRITTEN, removeService('payments'));
  assert.equal(differing(WRITTEN, after).gone.length, 1);
  assert.match(after, /# money/);
});

test('the last entry leaves an empty section, and a new one opens it again', () => {
  const none = edited(WRITTEN, removeTunnel('risk'));
  assert.equal(differing(WRITTEN, none), {
    gone: ['tunnels:', '    risk: { listen: 127.0.0.1:9001 }'],
    fresh: ['tunnels: {}'],
  });
  const again = edited(none, setTunnel('risk', ['127.0.0.1:9001']));
  assert.is(again, WRITTEN);
});

test('values of node change where they stand', () => {
  const after = edited(WRITTEN, ...setNode({ name: 'host-b', listen: ['127.0.0.1:0', '[::1]:0'], mdns: false }));
  assert.equal(differing(WRITTEN, after), {
    gone: ['    name: host-a', '    listen: [0.0.0.0:7667]   # the usual port'],
    fresh: ['    name: host-b', '    listen: ["127.0.0.1:0", "[::1]:0"]   # the usual port', '    mdns: false'].map(
      line => line.replace('"127.0.0.1:0"', '127.0.0.1:0'),
    ),
  });
});

test('an entry in block form keeps its comments when a field changes', () => {
  const after = edited(WRITTEN, setService('other', { target: '9090', tags: ['a', 'b'], allow: ['x'] }));
  for (const comment of WRITTEN.match(/#.*/g)!) assert.match(after, comment);
  const { services } = parseConfig(after, 'c').config;
  assert.equal([...services.keys()], ['payments', 'other']);
  assert.equal(services.get('other'), {
    target: '9090',
    version: undefined,
    description: undefined,
    tags: ['a', 'b'],
    allow: ['x'],
    deny: [],
  });
});

test('sections that are missing, empty, flow or indented take entries', () => {
  const texts = [
    '',
    '# only a comment',
    'node: { name: a }',
    'services:',
    'services: # ours',
    'services: {}',
    'services: {} # none yet\nnode: {}\n',
    'services: { a: { target: 1 } }',
    '{ services: {} }',
    '  node: { name: a }\n',
    'services:\n  a:\n    target: 1',
    'services: ~\ntunnels: null',
    '---\nnode: { name: a }\n',
  ];
  for (const text of texts) {
    const before = parseConfig(text, 'c').config;
    const after = parseConfig(
      edited(text, setService('web', { target: '8000' }), setTunnel('t', ['0', 'unix:/t'])),
      'c',
    ).config;
    assert.equal([...after.services.keys()], [...before.services.keys(), 'web'], text);
    assert.equal(after.tunnels.get('t')!.listen, ['0', 'unix:/t'], text);
    assert.equal(after.node, before.node);
    const gone = parseConfig(
      edited(text, setService('web', { target: '8000' }), removeService('web'), removeTunnel('no')),
      'c',
    ).config;
    assert.equal([...gone.services.keys()], [...before.services.keys()], text);
  }
});

test('an edit that changes nothing leaves every byte', () => {
  assert.is(edited(WRITTEN, removeService('none'), removeTunnel('none')), WRITTEN);
  assert.is(edited('', removeService('none')), '');
});

test('a file with CR LF keeps it', () => {
  const after = edited(WRITTEN.replaceAll('\n', '\r\n'), setService('web', { target: '1' }));
  assert.is(after.replaceAll('\r\n', '').includes('\n'), false);
});

test('a value that would make the file invalid is refused as such', () => {
  const refused = (edit: Edit): WarrenError => {
    try {
      edited(WRITTEN, edit);
    } catch (error) {
      return error as WarrenError;
    }
    throw new Error('accepted');
  };
  assert.equal(
    [refused(setService('x', { target: 'nope' })).code, refused(setService('x', { target: 'nope' })).message],
    ['bad-value', 'services.x.target: "nope" is not a target: there is no port in it.'],
  );
  assert.is(refused(setService('a b', { target: '1' })).code, 'bad-value');
});

test('a section that is an alias is left to the operator', () => {
  assert.throws(
    () =>
      edited(
        'services: &s { a: { listen: 1 } }\n'.replace('listen: 1', 'target: 1') + 'tunnels: {}\n'.replace('{}', '*s'),
        setTunnel('x', ['1']),
      ),
    (error: WarrenError) => error.code === 'config',
  );
  assert.throws(
    () => edited('tunnels: &s {}\nservices: *s\n', setService('x', { target: '1' })),
    (error: WarrenError) => /services is an alias/.test(error.message),
  );
});

test('the first write makes the file 0600 with its head; a mode that the operator set stays', async () => {
  await withFolder(folder => {
    const file = new ConfigFile(join(folder, 'config.yaml'));
    file.edit([]);
    assert.not(fs.existsSync(file.path));
    file.edit(setNode({ name: 'a' }));
    assert.is(fs.readFileSync(file.path, 'utf8'), `${NEW_CONFIG}node:\n  name: a\n`);
    assert.is(modeOf(file.path), '600');
    fs.chmodSync(file.path, 0o640);
    file.edit([setService('web', { target: '1' })]);
    assert.is(modeOf(file.path), '640');
    assert.is(file.load().services.size, 1);
  });
});

test('what changed on the disk since the last load is kept', async () => {
  await withFolder(folder => {
    const file = new ConfigFile(join(folder, 'config.yaml'));
    file.edit([setService('a', { target: '1' })]);
    fs.appendFileSync(file.path, '  b: { target: 2 } # by hand\n');
    file.edit([setService('c', { target: '3' })]);
    assert.equal([...file.load().services.keys()], ['a', 'b', 'c']);
    assert.match(fs.readFileSync(file.path, 'utf8'), /# by hand/);
  });
});

test('a file that does not parse any more is not written to', async () => {
  await withFolder(folder => {
    const file = new ConfigFile(join(folder, 'config.yaml'));
    fs.writeFileSync(file.path, 'services: [oops\n');
    assert.throws(
      () => file.edit([setService('a', { target: '1' })]),
      (error: WarrenError) => error.code === 'config' && /config\.yaml:\d+:\d+:/.test(error.message),
    );
    assert.is(fs.readFileSync(file.path, 'utf8'), 'services: [oops\n');
  });
});

test('a full disk leaves the old file', async () => {
  await withFolder(folder => {
    const path = join(folder, 'config.yaml');
    fs.writeFileSync(path, WRITTEN);
    const write = (): never => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const file = new ConfigFile(path, { ...nodeFileOps, write });
    assert.throws(
      () => file.edit([removeService('other')]),
      (error: WarrenError) => error.code === 'disk',
    );
    assert.is(fs.readFileSync(path, 'utf8'), WRITTEN);
    assert.equal(fs.readdirSync(folder), ['config.yaml']);
  });
});

test('a preview writes nothing', async () => {
  await withFolder(folder => {
    const file = new ConfigFile(join(folder, 'config.yaml'));
    assert.is(file.preview(setNode({ name: 'a' })).node.name, 'a');
    assert.not(fs.existsSync(file.path));
  });
});

test.run();
