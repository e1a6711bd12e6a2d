import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '../../../daemon/config/load.js';
import { WarrenError } from '../../../protocol/errors.js';
import { packageRoot } from '../../helpers/root.js';
import { assert, suite } from '../../helpers/suite.js';

const test = suite('bad configs: one sentence with its place, one hint');

const FOLDER = join(packageRoot(), 'test/daemon/config/bad');

for (const name of readdirSync(FOLDER).sort()) {
  test(name.replace('.yaml', '').replaceAll('-', ' '), () => {
    const text = readFileSync(join(FOLDER, name), 'utf8');
    const [sentence, hint] = text.split('\n').map(line => line.replace('# ', ''));
    try {
      parseConfig(text, 'config.yaml');
    } catch (error) {
      assert.instance(error, WarrenError);
      const { code, message, hint: given } = error as WarrenError;
      const place = /^\d/.test(sentence!) ? ':' : ': ';
      assert.equal([code, message, given], ['config', `config.yaml${place}${sentence!}`, hint]);
      return;
    }
    throw new Error('the config was accepted');
  });
}

test.run();
