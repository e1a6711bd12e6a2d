/** Preloaded into a daemon (`--import`): its wall clock is WARREN_CLOCK_SHIFT_MS ahead of the host's (behind, if below 0). */
const shiftMs = Number(process.env.WARREN_CLOCK_SHIFT_MS ?? 0);
const isDaemon = /[\\/]daemon[\\/]main\.js$/.test(process.argv[1] ?? '');

const HostDate = Date;
const now = (): number => HostDate.now() + shiftMs;

if (isDaemon && shiftMs !== 0) {
  globalThis.Date = new Proxy(HostDate, {
    construct: (target, args: [], as) => Reflect.construct(target, args.length === 0 ? [now()] : args, as) as Date,
    apply: () => new HostDate(now()).toString(),
    get: (target, name, self) => (name === 'now' ? now : (Reflect.get(target, name, self) as unknown)),
  });
}
