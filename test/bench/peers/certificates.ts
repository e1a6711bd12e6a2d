/** Keys and certificates for mutual TLS: an authority, and one certificate for each side. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../helpers/hosts.js';

export interface Certificates {
  readonly authority: string;
  /** PEM files with certificate and key, as stunnel and haproxy read them */
  readonly serving: string;
  readonly calling: string;
}

const DAYS = '2';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

async function openssl(args: readonly string[]): Promise<void> {
  const { status, stderr } = await run('openssl', args);
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

/** ECDSA P-256, which both peers' manuals recommend and which is the fastest for them. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const at = (name: string): string => join(folder, name);
  const authority = at('authority.crt');
  const self = ['-x509', '-days', DAYS, '-subj', '/CN=bench', '-keyout', at('authority.key'), '-out', authority];
  await openssl(['req', ...NEW_KEY, ...self]);
  for (const name of ['serving', 'calling']) {
    writeFileSync(at(`${name}.ext`), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    await openssl([
      'req',
      ...NEW_KEY,
      '-subj',
      '/CN=localhost',
      '-keyout',
      at(`${name}.key`),
      '-out',
      at(`${name}.csr`),
    ]);
    const signer = ['-CA', authority, '-CAkey', at('authority.key'), '-CAcreateserial', '-days', DAYS];
    const files = ['-in', at(`${name}.csr`), '-extfile', at(`${name}.ext`), '-out', at(`${name}.crt`)];
    await openssl(['x509', '-req', ...signer, ...files]);
    const pem = readFileSync(at(`${name}.crt`), 'utf8') + readFileSync(at(`${name}.key`), 'utf8');
    writeFileSync(at(`${name}.pem`), pem, { mode: 0o600 });
  }
  return { authority, serving: at('serving.pem'), calling: at('calling.pem') };
}
