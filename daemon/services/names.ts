/** Names of services: 1–63 of letters, digits, `.`, `_`, `-`, beginning with a letter or digit; compared without case. */
import { WarrenError } from '../../protocol/errors.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** @returns the name. @throws WarrenError `bad-value` */
export function checkServiceName(name: string): string {
  if (NAME.test(name)) return name;
  throw new WarrenError('bad-value', `${JSON.stringify(name.slice(0, 80))} is not a name for a service.`, {
    hint: 'Use 1 to 63 letters, digits, dots, underscores and hyphens, beginning with a letter or digit.',
  });
}

/** The form under which maps keep a service. */
export function serviceKey(name: string): string {
  return name.toLowerCase();
}
