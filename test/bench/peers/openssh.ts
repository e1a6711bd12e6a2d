/** ssh -L, with its fastest cipher and with its default one. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { userInfo } from 'node:os';
import { freePort } from '../../helpers/servers.js';
import { run } from '../../helpers/hosts.js';
import { familyOf } from '../measure.js';
import { freePorts, opened, SERVICES, type System } from './system.js';

/** @param cipher left out: what the two agree on by themselves */
export function openssh(name: string, cipher?: string): System {
  return {
    name,
    kind: 'peer',
    needs: { sshd: 'openssh-server', ssh: 'openssh-client' },
    async start(ground, services) {
      const folder = ground.place('openssh');
      for (const key of ['host', 'client'])
        await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
      copyFileSync(join(folder, 'client.pub'), join(folder, 'authorized_keys'));
      // sshd's folder for its unprivileged part; the package's service would make it.
      if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
      const [port, doors] = [await freePort(), await freePorts(freePort)];
      const settings = [
        `Port ${port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${folder}/host`,
        `AuthorizedKeysFile ${folder}/authorized_keys`,
        `PidFile ${folder}/pid`,
        'StrictModes no',
        'UsePAM no',
        'PermitRootLogin yes',
        'PasswordAuthentication no',
      ];
      writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`);
      const server = ground.start('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')]);
      await opened({ http: port, bulk: port, echo: port }, server);
      const options = [
        'StrictHostKeyChecking=no',
        'UserKnownHostsFile=/dev/null',
        'LogLevel=ERROR',
        'IdentitiesOnly=yes',
        'ExitOnForwardFailure=yes',
        'ControlPath=none',
      ].flatMap(option => ['-o', option]);
      const forwards = SERVICES.flatMap(s => ['-L', `127.0.0.1:${doors[s]}:127.0.0.1:${services[s]}`]);
      const where = ['-F', 'none', '-p', String(port), '-i', join(folder, 'client'), ...options];
      const suite = cipher === undefined ? [] : ['-c', cipher];
      const client = ground.start('ssh', ['-N', ...where, ...suite, ...forwards, `${userInfo().username}@127.0.0.1`]);
      await opened(doors, client, server);
      return {
        doors,
        calling: () => [client.pid],
        serving: () => familyOf([server.pid]),
        stop: async () => {
          await client.end();
          await server.end();
        },
      };
    },
  };
}
