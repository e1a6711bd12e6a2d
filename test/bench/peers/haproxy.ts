/** A pair of haproxy in TCP mode, with mutual TLS between the two. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../helpers/servers.js';
import { makeCertificates } from './certificates.js';
import { freePorts, opened, SERVICES, type Ports, type System } from './system.js';

const COMMON = `
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
`;

function proxies(from: Ports, to: Ports, bindTls: string, serverTls: string): string {
  return SERVICES.map(
    name => `
listen ${name}
  bind 127.0.0.1:${from[name]} ${bindTls}
  server there 127.0.0.1:${to[name]} ${serverTls}
`,
  ).join('');
}

export const haproxy: System = {
  name: 'haproxy',
  kind: 'peer',
  needs: { haproxy: 'haproxy', openssl: 'openssl' },
  async start(ground, services) {
    const folder = ground.place('haproxy');
    const { authority, serving, calling } = await makeCertificates(folder);
    const [doors, inner] = [await freePorts(freePort), await freePorts(freePort)];
    const start = (name: string, listens: string): ReturnType<typeof ground.start> => {
      const config = join(folder, `${name}.cfg`);
      writeFileSync(config, COMMON + listens);
      return ground.start('haproxy', ['-db', '-f', config]);
    };
    const server = start(
      'serving',
      proxies(inner, services, `ssl crt ${serving} ca-file ${authority} verify required`, ''),
    );
    const client = start(
      'calling',
      proxies(doors, inner, '', `ssl crt ${calling} ca-file ${authority} verify required`),
    );
    await opened(inner, server);
    await opened(doors, client);
    return {
      doors,
      calling: () => [client.pid],
      serving: () => [server.pid],
      stop: async () => {
        await client.end();
        await server.end();
      },
    };
  },
};
