/** `warren doctor`: the daemon's own checks, or those that a program can make when no daemon runs. */
import { execFile } from 'node:child_process';
import { PATHS, type DoctorReply } from '../../protocol/admin/contract.js';
import { WarrenError } from '../../protocol/errors.js';
import type { Context } from '../context.js';
import { clean } from '../output/text.js';

/** Reachability is checked by dialing, each address with its own deadline. */
const DOCTOR_TIMEOUT_MS = 60_000;
const OUTPUT_MAX_BYTES = 1024 * 1024;

export async function doctor(context: Context): Promise<void> {
  const reply = await ask(context);
  if (context.json) return context.document(reply);
  const { colour } = context;
  const marks = { ok: colour.green('ok     '), warning: colour.yellow('warning'), problem: colour.red('problem') };
  for (const check of reply.checks) {
    context.print(`${marks[check.state]}  ${colour.bold(clean(check.name))}: ${clean(check.message)}`);
    if (check.hint !== undefined) context.print(`         ${colour.cyan('hint')}: ${clean(check.hint)}`);
  }
  const count = (state: string): number => reply.checks.filter(check => check.state === state).length;
  context.print(`${count('ok')} ok, ${count('warning')} to look at, ${count('problem')} to mend`);
}

async function ask(context: Context): Promise<DoctorReply> {
  try {
    return await context.client.get<DoctorReply>(PATHS.doctor, { timeoutMs: DOCTOR_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof WarrenError && error.code === 'not-running')) throw error;
    context.talk(`${error.message}: checking what can be checked without`);
    return offline(context);
  }
}

/** The daemon's offline doctor: told the home, it prints a DoctorReply. */
function offline({ world, home }: Context): Promise<DoctorReply> {
  return new Promise((resolve, reject) => {
    execFile(
      world.execPath,
      [...world.execArgv, world.doctorProgram, home],
      { timeout: DOCTOR_TIMEOUT_MS, maxBuffer: OUTPUT_MAX_BYTES },
      (error, stdout, stderr) => {
        try {
          resolve(JSON.parse(stdout) as DoctorReply);
        } catch {
          const why = stderr.trim().split('\n').at(-1) ?? error?.message ?? 'no output';
          reject(new WarrenError('internal', `the offline checks failed: ${why}`));
        }
      },
    );
  });
}
