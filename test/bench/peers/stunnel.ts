/** A pair of stunnel, with mutual TLS between the two. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../helpers/servers.js';
import { makeCertificates } from './certificates.js';
import { freePorts, opened, SERVICES, type Ports, type System } from './system.js';

function config(pem: string, authority: string, isClient: boolean, from: Ports, to: Ports): string {
  const services = SERVICES.map(
    name => `
[${name}]
client = ${isClient ? 'yes' : 'no'}
accept = 127.0.0.1:${from[name]}
connect = 127.0.0.1:${to[name]}
cert = ${pem}
CAfile = ${authority}
verifyChain = yes
requireCert = yes
TIMEOUTidle = 86400
`,
  );
  return `foreground = yes\npid =\nsyslog = no\ndebug = 4\n${services.join('')}`;
}

export const stunnel: System = {
  name: 'stunnel',
  kind: 'peer',
  needs: { stunnel4: 'stunnel4', openssl: 'openssl' },
  async start(ground, services) {
    const folder = ground.place('stunnel');
    const { authority, serving, calling } = await makeCertificates(folder);
    const [doors, inner] = [await freePorts(freePort), await freePorts(freePort)];
    const start = (name: string, text: string): ReturnType<typeof ground.start> => {
      writeFileSync(join(folder, `${name}.conf`), text);
      return ground.start('stunnel4', [join(folder, `${name}.conf`)]);
    };
    const server = start('serving', config(serving, authority, false, inner, services));
    const client = start('calling', config(calling, authority, true, doors, inner));
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
