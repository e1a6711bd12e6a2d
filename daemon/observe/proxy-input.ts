/** What `warren doctor` is told of the proxy: plain data, no credentials. */
import * as fs from 'node:fs';
import { proxyState } from '../transport/proxy-choice.js';

export interface ProxyInput {
  /** without credentials; undefined: none that can be used */
  readonly shown?: string;
  /** where it is named */
  readonly source?: string;
  /** what is named there is no proxy */
  readonly problem?: { readonly message: string; readonly hint?: string };
  /** the config file, if it holds credentials that others can read */
  readonly openFile?: string;
}

/**
 * @param setting `node.proxy`
 * @returns undefined: links are dialed directly
 */
export function proxyInput(
  setting: string | undefined,
  env: NodeJS.ProcessEnv,
  configFile: string,
): ProxyInput | undefined {
  const { shown, source, hasCredentials, problem } = proxyState(setting, env);
  if (problem !== undefined) {
    const { message, hint } = problem;
    return { problem: { message, ...(hint === undefined ? {} : { hint }) } };
  }
  if (shown === null || source === null) return undefined;
  const isOpen = hasCredentials && source === 'node.proxy' && isReadableByOthers(configFile);
  return { shown, source, ...(isOpen && { openFile: configFile }) };
}

function isReadableByOthers(file: string): boolean {
  if (process.platform === 'win32') return false;
  return ((fs.statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) !== 0;
}
